/** The instructions of a token transfer, encoded by hand: the layout is small and fixed. */
import {
  type AccountMeta,
  AccountRole,
  type Address,
  address,
  getAddressEncoder,
  getProgramDerivedAddress,
  type Instruction,
} from "@solana/kit";

const ASSOCIATED_TOKEN_PROGRAM = address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
const MEMO_PROGRAM = address("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
export const TOKEN_PROGRAMS: ReadonlySet<string> = new Set([
  "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
  "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
]);
/** Index of TransferChecked in the token program's instructions. */
const TRANSFER_CHECKED = 12;

/** Where a wallet holds a token: derived from wallet, token program and mint. */
export async function associatedTokenAddress(owner: Address, tokenProgram: Address, mint: Address): Promise<Address> {
  const encoder = getAddressEncoder();
  const [derived] = await getProgramDerivedAddress({
    programAddress: ASSOCIATED_TOKEN_PROGRAM,
    seeds: [owner, tokenProgram, mint].map((seed) => encoder.encode(seed)),
  });
  return derived;
}

export interface Transfer {
  readonly tokenProgram: Address;
  readonly mint: Address;
  readonly decimals: number;
  readonly amount: bigint;
  readonly source: Address;
  readonly destination: Address;
  readonly authority: Address;
  readonly references: readonly Address[];
}

/** TransferChecked: index, amount (u64, little-endian), decimals. References follow its accounts, read-only. */
export function transferInstruction(transfer: Transfer): Instruction {
  const data = new Uint8Array(10);
  const view = new DataView(data.buffer);
  view.setUint8(0, TRANSFER_CHECKED);
  view.setBigUint64(1, transfer.amount, true);
  view.setUint8(9, transfer.decimals);
  const readonly = (key: Address): AccountMeta => ({ address: key, role: AccountRole.READONLY });
  return {
    programAddress: transfer.tokenProgram,
    accounts: [
      { address: transfer.source, role: AccountRole.WRITABLE },
      readonly(transfer.mint),
      { address: transfer.destination, role: AccountRole.WRITABLE },
      { address: transfer.authority, role: AccountRole.READONLY_SIGNER },
      ...transfer.references.map(readonly),
    ],
    data,
  };
}

export function memoInstruction(memo: string): Instruction {
  return { programAddress: MEMO_PROGRAM, data: new TextEncoder().encode(memo) };
}
