import { SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import { encodeBase58 } from "./bytes.ts";
import type { DecodedTransaction } from "./decode-transaction.ts";
import type { ChainAccount } from "./svm.ts";

export interface DurableNonce {
  authority: string;
  blockhash: string;
  lamportsPerSignature: bigint;
}

const nonceBytes = 80;
const currentVersion = 1;
const initialized = 1;
const advanceNonceData = Uint8Array.of(4, 0, 0, 0);

/** The initialized nonce account in `account`, or null. */
export function readNonce(account: ChainAccount | null): DurableNonce | null {
  if (account === null || account.owner !== SYSTEM_PROGRAM_ADDRESS || account.data.length !== nonceBytes) return null;
  const { data } = account;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(0, true) !== currentVersion || view.getUint32(4, true) !== initialized) return null;
  return {
    authority: encodeBase58(data.subarray(8, 40)),
    blockhash: encodeBase58(data.subarray(40, 72)),
    lamportsPerSignature: view.getBigUint64(72, true),
  };
}

/**
 * Whether a transaction lives by a durable nonce: its first instruction advances a nonce account whose stored value
 * is the transaction's blockhash, and the authority of that account signs it.
 */
export function isNonceTransaction(
  transaction: DecodedTransaction,
  account: (address: string) => ChainAccount | null,
): boolean {
  const keys = transaction.staticKeys;
  const first = transaction.instructions[0];
  if (first === undefined || keys[first.programIdIndex] !== SYSTEM_PROGRAM_ADDRESS) return false;
  if (Buffer.compare(first.data, advanceNonceData) !== 0) return false;
  const [nonceIndex = -1, , authorityIndex = -1] = first.accounts;
  const nonceAddress = keys[nonceIndex];
  if (nonceAddress === undefined) return false;
  const nonce = readNonce(account(nonceAddress));
  return (
    nonce !== null &&
    nonce.blockhash === transaction.blockhash &&
    nonce.authority === keys[authorityIndex] &&
    authorityIndex < transaction.header.numRequiredSignatures
  );
}
