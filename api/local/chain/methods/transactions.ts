import { z } from "zod";
import { encodeStatus, encodeTransaction } from "../encode-transaction.ts";
import {
  addressParam,
  type ChainView,
  commitmentParam,
  contextFields,
  type RpcMethod,
  readBlockSlot,
  rpcMethod,
  signatureParam,
  wholeParam,
  withContext,
} from "../rpc-method.ts";
import type { TransactionRecord } from "../transaction-history.ts";

export const encodingParam = z.enum(["json", "jsonParsed", "base64", "base58"]);

const maxSignatures = 1_000;
const maxStatuses = 256;
/** How many slots a status is found for without searching the history, as on Solana. */
const statusCacheSlots = 300;

const transactionConfig = z
  .union([
    encodingParam.transform((encoding) => ({
      encoding,
      commitment: undefined,
      maxSupportedTransactionVersion: undefined,
    })),
    z.object({
      encoding: encodingParam.optional(),
      commitment: commitmentParam.optional(),
      maxSupportedTransactionVersion: wholeParam.optional(),
    }),
  ])
  .nullish();

const signaturesConfig = z
  .object({
    ...contextFields,
    before: signatureParam.nullish(),
    until: signatureParam.nullish(),
    limit: wholeParam.pipe(z.number().min(1).max(maxSignatures)).nullish(),
  })
  .nullish();

export function confirmationStatus(view: ChainView, slot: number): "processed" | "confirmed" | "finalized" {
  if (slot <= view.slotAt("finalized")) return "finalized";
  return slot <= view.slotAt("confirmed") ? "confirmed" : "processed";
}

function encodeSignatureStatus(view: ChainView, record: TransactionRecord | undefined, searchHistory: boolean) {
  if (record === undefined || record.slot > view.tip) return null;
  if (!searchHistory && view.tip - record.slot > statusCacheSlots) return null;
  const status = confirmationStatus(view, record.slot);
  return {
    confirmationStatus: status,
    confirmations: status === "finalized" ? null : view.tip - record.slot,
    err: record.execution.err,
    slot: record.slot,
    status: encodeStatus(record.execution.err),
  };
}

/** The history of transactions. */
export const transactionMethods: Record<string, RpcMethod> = {
  getTransaction: rpcMethod(z.tuple([signatureParam, transactionConfig.optional()]), (view, [signature, config]) => {
    const record = view.state.history.bySignature(signature);
    if (record === undefined || record.slot > readBlockSlot(view, config)) return null;
    return { blockTime: record.blockTime, slot: record.slot, ...encodeTransaction(record, config ?? {}) };
  }),

  getSignatureStatuses: rpcMethod(
    z.tuple([
      z.array(signatureParam).max(maxStatuses),
      z.object({ searchTransactionHistory: z.boolean().optional() }).nullish().optional(),
    ]),
    (view, [signatures, config]) =>
      withContext(
        view.tip,
        signatures.map((signature) =>
          encodeSignatureStatus(
            view,
            view.state.history.bySignature(signature),
            config?.searchTransactionHistory ?? false,
          ),
        ),
      ),
  ),

  getSignaturesForAddress: rpcMethod(
    z.tuple([addressParam, signaturesConfig.optional()]),
    (view, [address, config]) => {
      const newestSlot = readBlockSlot(view, config);
      const records = view.state.history.forAddress(address);
      const limit = config?.limit ?? maxSignatures;
      const page = [];
      // As on Solana: nothing is before an unknown signature, and an unknown `until` stops nothing.
      let reached = config?.before === undefined || config.before === null;
      for (let index = records.length - 1; index >= 0 && page.length < limit; index--) {
        const record = records[index];
        if (record === undefined || record.slot > newestSlot) continue;
        if (record.signature === config?.until) break;
        if (reached) {
          page.push({
            blockTime: record.blockTime,
            confirmationStatus: confirmationStatus(view, record.slot),
            err: record.execution.err,
            memo: record.memo,
            signature: record.signature,
            slot: record.slot,
          });
        }
        if (record.signature === config?.before) reached = true;
      }
      return page;
    },
  ),
};
