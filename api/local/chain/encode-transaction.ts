import { encodeBase58, encodeBase64 } from "./bytes.ts";
import { type DecodedTransaction, decodeTransaction } from "./decode-transaction.ts";
import { parseInstruction } from "./parse-instruction.ts";
import { unsupportedTransactionVersion } from "./rpc-error.ts";
import type { CompiledInstruction, Execution } from "./svm.ts";
import type { TransactionRecord } from "./transaction-history.ts";

export type TransactionEncoding = "json" | "jsonParsed" | "base64" | "base58";

export interface TransactionConfig {
  encoding?: TransactionEncoding | undefined;
  maxSupportedTransactionVersion?: number | undefined;
}

/**
 * A transaction in the form of getTransaction: `transaction`, `meta`, and `version` when the caller named one.
 * Throws RpcError -32015 when the transaction has a version and the caller named none.
 */
export function encodeTransaction(record: TransactionRecord, config: TransactionConfig): Record<string, unknown> {
  const transaction = decodeTransaction(record.wire);
  const maxVersion = config.maxSupportedTransactionVersion;
  if (transaction.version !== "legacy" && maxVersion === undefined) {
    throw unsupportedTransactionVersion(transaction.version);
  }
  const encoding = config.encoding ?? "json";
  return {
    transaction: encodeBody(record, transaction, encoding),
    meta: encodeMeta(record, encoding),
    ...(maxVersion === undefined ? {} : { version: transaction.version }),
  };
}

function encodeBody(record: TransactionRecord, transaction: DecodedTransaction, encoding: TransactionEncoding) {
  if (encoding === "base64") return [encodeBase64(record.wire), "base64"];
  if (encoding === "base58") return [encodeBase58(record.wire), "base58"];
  const topLevel = transaction.instructions.map((instruction) => ({ ...instruction, stackHeight: 1 }));
  const lookups = transaction.version === "legacy" ? {} : { addressTableLookups: transaction.lookups };
  const message =
    encoding === "json"
      ? {
          accountKeys: transaction.staticKeys,
          header: {
            numReadonlySignedAccounts: transaction.header.numReadonlySignedAccounts,
            numReadonlyUnsignedAccounts: transaction.header.numReadonlyUnsignedAccounts,
            numRequiredSignatures: transaction.header.numRequiredSignatures,
          },
          instructions: topLevel.map(encodeCompiled),
          recentBlockhash: transaction.blockhash,
          ...lookups,
        }
      : {
          accountKeys: describeKeys(record, transaction),
          instructions: topLevel.map((instruction) => parseInstruction(instruction, record.keys)),
          recentBlockhash: transaction.blockhash,
          ...lookups,
        };
  return { message, signatures: transaction.signatures };
}

function describeKeys(record: TransactionRecord, transaction: DecodedTransaction) {
  const { header, staticKeys } = transaction;
  const firstReadonlySigner = header.numRequiredSignatures - header.numReadonlySignedAccounts;
  const firstReadonly = staticKeys.length - header.numReadonlyUnsignedAccounts;
  const firstLoadedReadonly = staticKeys.length + record.loaded.writable.length;
  return record.keys.map((pubkey, index) => {
    const isStatic = index < staticKeys.length;
    const signer = index < header.numRequiredSignatures;
    const writable = signer
      ? index < firstReadonlySigner
      : isStatic
        ? index < firstReadonly
        : index < firstLoadedReadonly;
    return { pubkey, signer, source: isStatic ? "transaction" : "lookupTable", writable };
  });
}

const encodeCompiled = ({ programIdIndex, accounts, data, stackHeight }: CompiledInstruction) => ({
  accounts,
  data: encodeBase58(data),
  programIdIndex,
  stackHeight,
});

/** The inner instructions by top-level instruction, leaving out those that made no call. */
export function encodeInnerInstructions(
  groups: readonly CompiledInstruction[][],
  keys: readonly string[],
  parsed: boolean,
) {
  return groups.flatMap((group, index) => {
    const instructions = group.map((inner) => (parsed ? parseInstruction(inner, keys) : encodeCompiled(inner)));
    return group.length === 0 ? [] : [{ index, instructions }];
  });
}

export const encodeReturnData = (returned: Execution["returnData"]) =>
  returned === null ? null : { programId: returned.programId, data: [encodeBase64(returned.data), "base64"] };

export const encodeStatus = (err: Execution["err"]) => (err === null ? { Ok: null } : { Err: err });

function encodeMeta(record: TransactionRecord, encoding: TransactionEncoding) {
  const { execution } = record;
  const parsed = encoding === "jsonParsed";
  const returned = encodeReturnData(execution.returnData);
  return {
    computeUnitsConsumed: execution.computeUnitsConsumed,
    err: execution.err,
    fee: record.feeLamports,
    innerInstructions: encodeInnerInstructions(execution.innerInstructions, record.keys, parsed),
    // The parsed form lists loaded accounts among its account keys.
    ...(parsed ? {} : { loadedAddresses: record.loaded }),
    logMessages: execution.logs,
    postBalances: record.postBalances,
    postTokenBalances: record.postTokenBalances,
    preBalances: record.preBalances,
    preTokenBalances: record.preTokenBalances,
    ...(returned === null ? {} : { returnData: returned }),
    rewards: [],
    status: encodeStatus(execution.err),
  };
}
