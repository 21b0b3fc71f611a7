/**
 * The market as verbs see it: the network in memory, kept up to date from the database.
 *
 * In Node a loop of the entry calls `refresh` every few hundred milliseconds. In Workers, where nothing runs between
 * requests, `network` refreshes by itself when the last refresh is older than twice that. Being a little
 * behind is harmless: the reservation claims capacity in the database, and a quote keeps the price it was made at.
 */
import { VolleyError } from "@volley/schema/errors";
import type { Services } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import { type Position, readChanges, readNetwork } from "./index/read-nodes.ts";

type MarketServices = Pick<Services, "db" | "clock" | "settings">;

export interface Market {
  /** Whether the network has been read once. */
  isLoaded(): boolean;
  /**
   * The network, read first if that has not been done.
   * @throws {VolleyError} `unavailable` when the database can't be read and what is in memory is too old
   */
  network(services: MarketServices): Promise<NetworkIndex>;
  /** Reads what has changed; the first time everything. Fails as the database does. */
  refresh(services: MarketServices): Promise<void>;
  /** Notes GPUs that a reservation has just claimed, so that the next quote doesn't offer them before the refresh. */
  take(nodeId: string, gpus: number): void;
}

export interface MarketOptions {
  /** `network` refreshes by itself what is older; left out, a loop that refreshes in time keeps it from ever doing so. */
  readonly refreshAfterMs?: number;
  /** Quotes are refused rather than made from what is older. */
  readonly staleAfterMs?: number;
}

/** Times the pause of the loop: only a loop in trouble gets this late. */
const REFRESH_AFTER_PAUSES = 2;
const STALE_AFTER_MS_DEFAULT = 60_000;
/** A refresh that has run for longer is thought lost, as with a request that was cancelled. */
const REFRESH_LOST_AFTER_MS = 10_000;
/** Past this share of the network, reading all of it anew is less work than applying changes one by one. */
const RELOAD_SHARE = 0.1;
const RELOAD_ROWS_MIN = 1_000;

interface Loaded {
  readonly index: NetworkIndex;
  readonly position: Position;
  readonly atMs: number;
}

export function newMarket(options: MarketOptions = {}): Market {
  const { staleAfterMs = STALE_AFTER_MS_DEFAULT } = options;
  let loaded: Loaded | null = null;
  let lastStarted = 0;
  let runningSinceMs: number | null = null;

  async function refresh(services: MarketServices): Promise<void> {
    const number = ++lastStarted;
    const atMs = services.clock.nowMs();
    runningSinceMs = atMs;
    try {
      // Of two at once the later to end may have seen the older state; its position is then the older one as well,
      // so the next refresh brings the index to the newer state again.
      loaded = { ...(await read(services, loaded)), atMs };
    } finally {
      if (number === lastStarted) runningSinceMs = null;
    }
  }

  return {
    isLoaded: () => loaded !== null,
    refresh,
    async network(services) {
      const nowMs = services.clock.nowMs();
      const refreshAfterMs = options.refreshAfterMs ?? services.settings.marketRefreshMs * REFRESH_AFTER_PAUSES;
      const ageMs = loaded === null ? Infinity : nowMs - loaded.atMs;
      if (loaded !== null && ageMs <= refreshAfterMs) return loaded.index;
      // At the edge a request can't wait for what another one has begun, so it takes what is there.
      const isRunning = runningSinceMs !== null && nowMs - runningSinceMs < REFRESH_LOST_AFTER_MS;
      if (loaded !== null && isRunning && ageMs <= staleAfterMs) return loaded.index;
      try {
        await refresh(services);
      } catch (error) {
        if (loaded === null || ageMs > staleAfterMs) throw unavailable(error);
      }
      if (loaded === null) throw unavailable(undefined);
      return loaded.index;
    },
    take(nodeId, gpus) {
      loaded?.index.take(nodeId, gpus);
    },
  };
}

async function read(
  { db }: MarketServices,
  loaded: Loaded | null,
): Promise<{ index: NetworkIndex; position: Position }> {
  if (loaded !== null) {
    const { index } = loaded;
    const { records, position } = await readChanges(db, loaded.position);
    if (records.length <= Math.max(RELOAD_ROWS_MIN, index.length * RELOAD_SHARE)) {
      for (const record of records) index.upsert(record);
      return { index, position };
    }
  }
  return readNetwork(db);
}

function unavailable(cause: unknown): VolleyError {
  return new VolleyError("unavailable", "The market can't be read at the moment.", {
    nextAction: "Try again in a few seconds.",
    retryAfterSeconds: 2,
    cause,
  });
}
