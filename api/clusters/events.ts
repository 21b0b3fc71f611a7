import { type Event, type InputOf, isId, type Operations } from "@volley/schema";
import { and, asc, eq, gt } from "drizzle-orm";
import type { Context } from "../context.ts";
import { events } from "../db/tables.ts";
import type { StreamItem } from "../events/stream.ts";
import { watchTopic } from "../events/watch-topic.ts";
import { hasEnded, openCluster } from "./open-cluster.ts";
import { invalidCursor } from "./stream-positions.ts";
import { toEventResource } from "./to-event-resource.ts";

type Events = Operations["clusters.events"];

const POLL_MS = 500;
const BATCH = 100;

/**
 * What happened to the cluster, from the beginning or after an event; followed until the cluster has ended.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `invalid_cursor`
 */
export async function* streamEvents(ctx: Context, input: InputOf<Events>): AsyncGenerator<StreamItem<Event>> {
  const { id } = await openCluster(ctx, input.id);
  let after = input.last_event_id === undefined ? 0 : await sequenceOf(ctx, id, input.last_event_id);
  while (!ctx.signal.aborted) {
    const watch = watchTopic(ctx, `cluster:${id}`, POLL_MS);
    try {
      const ended = hasEnded(await openCluster(ctx, input.id));
      const batch = await ctx.db
        .select()
        .from(events)
        .where(and(eq(events.clusterId, id), gt(events.sequence, after)))
        .orderBy(asc(events.sequence))
        .limit(BATCH);
      for (const row of batch) {
        after = row.sequence;
        yield { id: row.id, data: toEventResource(row) };
      }
      if (batch.length === BATCH) continue;
      if (ended || !input.follow) return;
      await watch.changed;
    } finally {
      watch.stop();
    }
  }
}

async function sequenceOf(ctx: Context, clusterId: string, eventId: string): Promise<number> {
  if (!isId("event", eventId)) throw invalidCursor();
  const [known] = await ctx.db
    .select({ sequence: events.sequence })
    .from(events)
    .where(and(eq(events.clusterId, clusterId), eq(events.id, eventId)));
  if (known === undefined) throw invalidCursor();
  return known.sequence;
}
