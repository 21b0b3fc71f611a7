/** An x402 payment put together by hand, so that every part of it can be wrong. */
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  getBase64Encoder,
  type Instruction,
  type KeyPairSigner,
  partiallySignTransactionMessageWithSigners,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
} from "@solana/kit";
import { MEMO_PROGRAM_ADDRESS } from "@solana-program/memo";
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";

export interface Requirements {
  readonly scheme: string;
  readonly network: string;
  readonly amount: string;
  readonly asset: string;
  readonly payTo: string;
  readonly maxTimeoutSeconds: number;
  readonly extra: { readonly feePayer: string; readonly memo: string };
}

export interface PaymentChanges {
  /** Another answer than what was asked for. */
  readonly accepted?: Partial<Requirements>;
  readonly amount?: bigint;
  readonly to?: Address;
  readonly mint?: Address;
  readonly memo?: string | null;
  readonly feePayer?: Address;
  readonly units?: number;
  readonly priceMicroLamports?: bigint;
  readonly before?: readonly Instruction[];
  readonly after?: readonly Instruction[];
  readonly blockhash?: string;
  /** Changes the signed bytes. */
  readonly tamper?: (wire: Uint8Array) => Uint8Array;
}

const COMPUTE_BUDGET = address("ComputeBudget111111111111111111111111111111");

export function computeBudget(kind: number, value: bigint, bytes: 4 | 8): Instruction {
  const data = new Uint8Array(1 + bytes);
  data[0] = kind;
  const view = new DataView(data.buffer);
  if (bytes === 4) view.setUint32(1, Number(value), true);
  else view.setBigUint64(1, value, true);
  return { programAddress: COMPUTE_BUDGET, data };
}

export const memoOf = (text: string): Instruction => ({
  programAddress: MEMO_PROGRAM_ADDRESS,
  data: new TextEncoder().encode(text),
});

/** An instruction of a program that isn't asked anything, naming one account. */
export const naming = (program: Address, account: Address): Instruction => ({
  programAddress: program,
  accounts: [{ address: account, role: AccountRole.WRITABLE }],
});

export async function ata(owner: Address, mint: Address): Promise<Address> {
  const [found] = await findAssociatedTokenPda({ owner, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS });
  return found;
}

/** The signed transaction in base64, as a client sends it. */
export async function transactionFor(
  requirements: Requirements,
  payer: KeyPairSigner,
  blockhash: string,
  changes: PaymentChanges = {},
): Promise<string> {
  const mint = changes.mint ?? address(requirements.asset);
  const memo = changes.memo === undefined ? requirements.extra.memo : changes.memo;
  const instructions = [
    ...(changes.before ?? []),
    computeBudget(2, BigInt(changes.units ?? 20_000), 4),
    computeBudget(3, changes.priceMicroLamports ?? 1n, 8),
    getTransferCheckedInstruction({
      source: await ata(payer.address, mint),
      mint,
      destination: await ata(changes.to ?? address(requirements.payTo), mint),
      authority: payer,
      amount: changes.amount ?? BigInt(requirements.amount),
      decimals: 6,
    }),
    ...(memo === null ? [] : [memoOf(memo)]),
    ...(changes.after ?? []),
  ];
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (empty) => setTransactionMessageFeePayer(changes.feePayer ?? address(requirements.extra.feePayer), empty),
    (paid) =>
      setTransactionMessageLifetimeUsingBlockhash(
        { blockhash: (changes.blockhash ?? blockhash) as Blockhash, lastValidBlockHeight: 2n ** 63n },
        paid,
      ),
    (live) => appendTransactionMessageInstructions(instructions, live),
  );
  const wire = getBase64EncodedWireTransaction(await partiallySignTransactionMessageWithSigners(message));
  if (changes.tamper === undefined) return wire;
  return Buffer.from(changes.tamper(Uint8Array.from(getBase64Encoder().encode(wire)))).toString("base64");
}

/** The PaymentPayload in base64. */
export async function paymentFor(
  requirements: Requirements,
  payer: KeyPairSigner,
  blockhash: string,
  changes: PaymentChanges = {},
): Promise<string> {
  const transaction = await transactionFor(requirements, payer, blockhash, changes);
  const accepted = { ...requirements, ...changes.accepted };
  return Buffer.from(JSON.stringify({ x402Version: 2, accepted, payload: { transaction } })).toString("base64");
}
