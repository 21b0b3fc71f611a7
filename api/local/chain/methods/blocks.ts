import { z } from "zod";
import { decodeBase64 } from "../bytes.ts";
import { decodeMessage } from "../decode-transaction.ts";
import { encodeTransaction } from "../encode-transaction.ts";
import { feeOfMessage } from "../fee.ts";
import { blockNotAvailable, invalidParams, slotSkipped } from "../rpc-error.ts";
import {
  addressParam,
  blockhashParam,
  type ChainView,
  commitmentParam,
  contextParam,
  type RpcMethod,
  readBlockSlot,
  readSlot,
  rpcMethod,
  wholeParam,
  withContext,
} from "../rpc-method.ts";
import { encodingParam } from "./transactions.ts";

const maxBlocks = 500_000;
const prioritizedSlots = 150;

const blockConfig = z
  .object({
    commitment: commitmentParam.optional(),
    encoding: encodingParam.optional(),
    transactionDetails: z.enum(["full", "signatures", "none"]).optional(),
    maxSupportedTransactionVersion: wholeParam.optional(),
    rewards: z.boolean().optional(),
  })
  .nullish();

function blockTimeOf(view: ChainView, slot: number): number {
  const time = view.state.blockTime(slot);
  if (time === null) throw slotSkipped(slot);
  return time;
}

/** Blocks, blockhashes and fees. */
export const blockMethods: Record<string, RpcMethod> = {
  getLatestBlockhash: rpcMethod(z.tuple([contextParam.optional()]), (view, [config]) => {
    const slot = readSlot(view, config);
    const lastValidBlockHeight = slot + view.state.settings.blockhashLifetimeBlocks;
    return withContext(slot, { blockhash: view.state.blockhash(slot), lastValidBlockHeight });
  }),

  isBlockhashValid: rpcMethod(z.tuple([blockhashParam, contextParam.optional()]), (view, [blockhash, config]) => {
    const slot = readSlot(view, config);
    return withContext(slot, view.state.slotOfLiveBlockhash(blockhash, slot) !== null);
  }),

  getFeeForMessage: rpcMethod(z.tuple([z.string(), contextParam.optional()]), (view, [text, config]) => {
    const slot = readSlot(view, config);
    const bytes = decodeBase64(text);
    if (bytes === null) throw invalidParams("Invalid params: the message is not base64");
    const message = decodeMessage(bytes);
    const isLive = view.state.slotOfLiveBlockhash(message.blockhash, slot) !== null;
    return withContext(slot, isLive ? feeOfMessage(message) : null);
  }),

  getRecentPrioritizationFees: rpcMethod(z.tuple([z.array(addressParam).max(128).nullish()]), (view) => {
    const slots = Math.min(prioritizedSlots, view.tip + 1);
    // Blocks here are never full, so no transaction has to outbid another.
    return Array.from({ length: slots }, (_, back) => ({ slot: view.tip - slots + 1 + back, prioritizationFee: 0 }));
  }),

  getBlock: rpcMethod(z.tuple([wholeParam, blockConfig.optional()]), (view, [slot, config]) => {
    if (slot > readBlockSlot(view, config)) throw blockNotAvailable(slot);
    const records = view.state.history.inSlot(slot);
    const details = config?.transactionDetails ?? "full";
    return {
      blockHeight: slot,
      blockTime: blockTimeOf(view, slot),
      blockhash: view.state.blockhash(slot),
      parentSlot: Math.max(0, slot - 1),
      previousBlockhash: view.state.blockhash(Math.max(0, slot - 1)),
      ...(config?.rewards === false ? {} : { rewards: [] }),
      ...(details === "signatures" ? { signatures: records.map((record) => record.signature) } : {}),
      ...(details === "full" ? { transactions: records.map((record) => encodeTransaction(record, config ?? {})) } : {}),
    };
  }),

  getBlocks: rpcMethod(
    z.tuple([wholeParam, wholeParam.nullish(), contextParam.optional()]),
    (view, [first, last, config]) => {
      const end = Math.min(last ?? Number.MAX_SAFE_INTEGER, readBlockSlot(view, config));
      if (end - first > maxBlocks) throw invalidParams(`Slot range too large; max ${maxBlocks}`);
      return Array.from({ length: Math.max(0, end - first + 1) }, (_, index) => first + index);
    },
  ),

  getBlockTime: rpcMethod(z.tuple([wholeParam]), (view, [slot]) => {
    if (slot > view.slotAt("confirmed")) throw blockNotAvailable(slot);
    return blockTimeOf(view, slot);
  }),
};
