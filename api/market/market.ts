/**
 * The market's copy of the network in memory, fed from the database: the whole network once, then what has changed.
 * In Node a loop refreshes it and reservations are noted at once; at the edge a request refreshes it when it is old.
 */
import { VolleyError } from "@volley/schema/errors";
import type { Services } from "../context.ts";
import { NetworkIndex } from "./index/network-index.ts";
import { readNetwork } from "./read-network.ts";

type Needs = Pick<Services, "db" | "clock" | "settings">;

export interface Market {
  /** The index as it is. @throws {VolleyError} `unavailable` before it was first loaded */
  readonly index: NetworkIndex;
  /** Whether it has been loaded. */
  isLoaded(): boolean;
  /** Reads what has changed since the last time. Calls at the same time share one. */
  refresh(services: Needs): Promise<void>;
  /** Refreshes only when the last refresh is older than the setting: for runtimes without loops. */
  ensureFresh(services: Needs): Promise<void>;
}

export function newMarket(): Market {
  let index: NetworkIndex | null = null;
  let oldestRunningXid = 0n;
  let refreshedAtMs = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | null = null;

  const read = async (services: Needs): Promise<void> => {
    const startedAtMs = services.clock.nowMs();
    const { records, oldestRunningXid: next } = await readNetwork(
      services.db,
      index === null ? null : oldestRunningXid,
    );
    if (index === null) {
      const loaded = new NetworkIndex();
      loaded.load(records);
      index = loaded;
    } else {
      for (const record of records) index.upsert(record);
    }
    oldestRunningXid = next;
    refreshedAtMs = startedAtMs;
  };

  const refresh = (services: Needs): Promise<void> => {
    running ??= read(services).finally(() => {
      running = null;
    });
    return running;
  };

  return {
    get index() {
      if (index === null) {
        throw new VolleyError("unavailable", "The market is still being loaded.", { retryAfterSeconds: 1 });
      }
      return index;
    },
    isLoaded: () => index !== null,
    refresh,
    async ensureFresh(services) {
      const ageMs = services.clock.nowMs() - refreshedAtMs;
      if (index === null || ageMs > services.settings.marketRefreshMs) await refresh(services);
    },
  };
}
