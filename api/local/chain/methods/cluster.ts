import { z } from "zod";
import { deriveKey } from "../keys.ts";
import { apiVersion, contextParam, type RpcMethod, readSlot, rpcMethod } from "../rpc-method.ts";

/** As on Solana's main network; nothing here depends on epochs. */
const slotsPerEpoch = 432_000;

const nothing = z.tuple([]);
const onlyContext = z.tuple([contextParam.optional()]);

const currentSlot = rpcMethod(onlyContext, (view, [config]) => readSlot(view, config));

/** About the node and its cluster. */
export const clusterMethods: Record<string, RpcMethod> = {
  getHealth: rpcMethod(nothing, () => "ok"),

  getVersion: rpcMethod(nothing, () => ({ "solana-core": apiVersion, "feature-set": 0 })),

  getIdentity: rpcMethod(nothing, (view) => ({ identity: deriveKey(view.state.settings.seed, "node").address })),

  getGenesisHash: rpcMethod(nothing, (view) => view.state.genesisHash),

  getSlot: currentSlot,

  getBlockHeight: currentSlot,

  getTransactionCount: rpcMethod(onlyContext, (view, [config]) => {
    const slot = readSlot(view, config);
    const newest = view.state.history.all.findLastIndex((record) => record.slot <= slot);
    return newest + 1;
  }),

  getEpochInfo: rpcMethod(onlyContext, (view, [config]) => {
    const slot = readSlot(view, config);
    return {
      absoluteSlot: slot,
      blockHeight: slot,
      epoch: Math.floor(slot / slotsPerEpoch),
      slotIndex: slot % slotsPerEpoch,
      slotsInEpoch: slotsPerEpoch,
      transactionCount: view.state.history.all.length,
    };
  }),

  getFirstAvailableBlock: rpcMethod(nothing, () => 0),

  minimumLedgerSlot: rpcMethod(nothing, () => 0),
};
