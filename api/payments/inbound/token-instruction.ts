/**
 * The instructions of the SPL Token program that bring money into an account, read from their bytes.
 * Source: solana-program/token, `interface/src/instruction.rs`; `batch` is of its successor p-token (SIMD-0266).
 */
import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import type { ChainInstruction } from "../../ports/chain.ts";

const TRANSFER = 3;
const MINT_TO = 7;
const TRANSFER_CHECKED = 12;
const MINT_TO_CHECKED = 14;
const BATCH = 255;
/** A wire transaction holds far fewer. */
const BATCH_MAX = 256;

export interface TokenMovement {
  /** Null: newly minted. */
  readonly source: string | null;
  readonly destination: string;
  readonly amount: bigint;
  /** The accounts after the ones that the instruction itself needs: signers of a multisig, and references. */
  readonly furtherAccounts: readonly string[];
}

/** What the instruction moves between token accounts; nothing for every other instruction. */
export function readTokenMovements(instruction: ChainInstruction): TokenMovement[] {
  if (instruction.programId !== TOKEN_PROGRAM_ADDRESS) return [];
  const { accounts, data } = instruction;
  if (data[0] === BATCH) return readBatch(accounts, data);
  const movement = readOne(accounts, data);
  return movement === null ? [] : [movement];
}

function readOne(accounts: readonly string[], data: Uint8Array): TokenMovement | null {
  if (data.length < 9) return null;
  const amount = new DataView(data.buffer, data.byteOffset, data.byteLength).getBigUint64(1, true);
  const [first, second, third] = accounts;
  switch (data[0]) {
    case TRANSFER:
      if (first === undefined || second === undefined) return null;
      return { source: first, destination: second, amount, furtherAccounts: accounts.slice(3) };
    case TRANSFER_CHECKED:
      if (first === undefined || third === undefined) return null;
      return { source: first, destination: third, amount, furtherAccounts: accounts.slice(4) };
    case MINT_TO:
    case MINT_TO_CHECKED:
      if (second === undefined) return null;
      return { source: null, destination: second, amount, furtherAccounts: accounts.slice(3) };
    default:
      return null;
  }
}

/** After the discriminator, each inner instruction: how many accounts, how many bytes, the bytes. */
function readBatch(accounts: readonly string[], data: Uint8Array): TokenMovement[] {
  const movements: TokenMovement[] = [];
  let account = 0;
  let offset = 1;
  for (let count = 0; count < BATCH_MAX; count++) {
    const accountCount = data[offset];
    const length = data[offset + 1];
    if (accountCount === undefined || length === undefined || offset + 2 + length > data.length) break;
    const movement = readOne(
      accounts.slice(account, account + accountCount),
      data.subarray(offset + 2, offset + 2 + length),
    );
    if (movement !== null) movements.push(movement);
    account += accountCount;
    offset += 2 + length;
  }
  return movements;
}
