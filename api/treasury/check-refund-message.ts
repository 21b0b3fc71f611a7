import { getCompiledTransactionMessageDecoder } from "@solana/kit";
import { MEMO_PROGRAM_ADDRESS } from "@solana-program/memo";
import { getTransferCheckedInstructionDataEncoder, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { USDC_DECIMALS } from "@volley/schema/money";
import { SignerError } from "./signer-error.ts";

/** What a refund's transaction does, and nothing else. */
export interface RefundEffect {
  /** The treasury's wallet: it alone signs and pays the fee. */
  readonly signer: string;
  readonly source: string;
  readonly mint: string;
  /** The token account of the wallet that the refund's row names. */
  readonly destination: string;
  readonly amountMicroUsdc: bigint;
  readonly memo: string;
}

/**
 * Reads the bytes that are about to be signed, whoever has built them: one memo, one transfer of exactly this amount
 * to exactly this account, no other program, no other signature.
 * @throws {SignerError}
 */
export function checkRefundMessage(messageBytes: Uint8Array, effect: RefundEffect): void {
  const message = decode(messageBytes);
  if (message.header.numSignerAccounts !== 1 || message.staticAccounts[0] !== effect.signer) {
    refuse("it wants other signatures");
  }
  if ("addressTableLookups" in message && (message.addressTableLookups?.length ?? 0) > 0) {
    refuse("it hides accounts in a table");
  }
  const found = message.instructions.map(({ programAddressIndex, accountIndices = [], data = new Uint8Array() }) => ({
    program: message.staticAccounts[programAddressIndex],
    accounts: accountIndices.map((index) => message.staticAccounts[index]),
    data: Buffer.from(data).toString("hex"),
  }));
  const { source, mint, destination, signer, amountMicroUsdc: amount } = effect;
  const transfer = getTransferCheckedInstructionDataEncoder().encode({ amount, decimals: USDC_DECIMALS });
  const expected = [
    { program: MEMO_PROGRAM_ADDRESS, accounts: [], data: Buffer.from(effect.memo).toString("hex") },
    {
      program: TOKEN_PROGRAM_ADDRESS,
      accounts: [source, mint, destination, signer],
      data: Buffer.from(transfer).toString("hex"),
    },
  ];
  if (JSON.stringify(found) !== JSON.stringify(expected)) refuse("it is not one memo and this one transfer");
}

function decode(messageBytes: Uint8Array) {
  const message = getCompiledTransactionMessageDecoder().decode(messageBytes);
  if (message.version !== 0) refuse("it has another version");
  return message;
}

function refuse(why: string): never {
  throw new SignerError(`the message is not what the refund's row says: ${why}`);
}
