/** The market over machines that a test writes down, without a database. */
import { NetworkIndex } from "../../api/market/index/network-index.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import type { Market } from "../../api/market/market.ts";

export function indexOf(network: Iterable<NodeRecord>): NetworkIndex {
  const index = new NetworkIndex();
  index.load(network);
  return index;
}

export function fixedMarket(network: Iterable<NodeRecord>): Market {
  const index = indexOf(network);
  return {
    isLoaded: () => true,
    network: async () => index,
    refresh: async () => undefined,
    take: (nodeId, gpus) => index.take(nodeId, gpus),
  };
}
