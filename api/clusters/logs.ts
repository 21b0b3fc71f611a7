import { type InputOf, type Operations, type Output, VolleyError } from "@volley/schema";
import { eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { leases } from "../db/tables.ts";
import type { StreamItem } from "../events/stream.ts";
import { watchTopic } from "../events/watch-topic.ts";
import { LOG_SOURCE } from "../supply/store-output.ts";
import { hasEnded, openCluster } from "./open-cluster.ts";
import { readOutput } from "./read-output.ts";
import { decodePositions, encodePositions, invalidCursor, startPositions } from "./stream-positions.ts";

type Logs = Operations["clusters.logs"];

const POLL_MS = 500;

/**
 * What the main processes print, in order within each rank, from the beginning or after an event; followed until the
 * cluster has ended.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `invalid_cursor`, `invalid_field`
 */
export async function* streamLogs(ctx: Context, input: InputOf<Logs>): AsyncGenerator<StreamItem<Output>> {
  const { id } = await openCluster(ctx, input.id);
  const ranks = await shownRanks(ctx, id, input.rank);
  const resumed = input.last_event_id === undefined ? null : decodePositions(input.last_event_id, ranks);
  if (resumed !== null && resumed.source !== LOG_SOURCE) throw invalidCursor();
  const positions = resumed?.positions ?? startPositions(ranks);

  while (!ctx.signal.aborted) {
    const watch = watchTopic(ctx, `cluster:${id}`, POLL_MS);
    try {
      // The status is read first: what was printed before the end is then there to be read.
      const ended = hasEnded(await openCluster(ctx, input.id));
      const { chunks, more } = await readOutput(ctx, id, LOG_SOURCE, positions);
      for (const { rank, sequence, output } of chunks) {
        positions.set(rank, { next: sequence + 1, exited: false });
        yield { id: encodePositions(LOG_SOURCE, positions), data: output };
      }
      if (more) continue;
      if (ended || !input.follow) return;
      await watch.changed;
    } finally {
      watch.stop();
    }
  }
}

async function shownRanks(ctx: Context, clusterId: string, rank: number | undefined): Promise<number[]> {
  const all = await ctx.db
    .select({ rank: leases.rank })
    .from(leases)
    .where(eq(leases.clusterId, clusterId))
    .orderBy(leases.rank);
  const shown = all.map((lease) => lease.rank).filter((one) => rank === undefined || one === rank);
  if (shown.length > 0) return shown;
  const message = `must be below ${all.length}: the cluster has that many ranks, counted from 0`;
  throw new VolleyError("invalid_field", `The rank ${message}.`, {
    errors: [{ pointer: "/rank", code: "invalid_field", message }],
  });
}
