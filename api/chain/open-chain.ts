import type { Chain } from "../ports/chain.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Settings } from "../settings.ts";
import { poolAt } from "./pool.ts";

interface ChainServices {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The chain over the nodes that the settings name. With one of somebody else's, nobody can contradict it: that is said. */
export function openChain(settings: Pick<Settings, "solanaRpcUrls">, { clock, logger, metrics }: ChainServices): Chain {
  const [first = "", ...others] = settings.solanaRpcUrls;
  if (others.length === 0 && new URL(first).hostname !== "127.0.0.1") {
    logger.warn("SOLANA_RPC_URL names one node, so what it says about money is believed; name three independent ones");
  }
  return poolAt(settings.solanaRpcUrls, { clock, metrics });
}
