import { decodeCursor, type Event, encodeCursor } from "@volley/schema";
import { inArray, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { events } from "../db/tables.ts";
import { invalidCursor } from "./stream-positions.ts";
import { toEventResource } from "./to-event-resource.ts";

export function eventCursor(event: Event): string {
  return encodeCursor({ key: event.cluster_id, id: event.id });
}

/**
 * A page of events for each of many clusters, in one statement.
 * @param page.after cursor of one of a cluster's events; other clusters' pages begin at the beginning
 * @throws {VolleyError} `invalid_cursor`
 */
export async function loadClusterEvents(
  ctx: Context,
  ids: readonly string[],
  page: { readonly limit: number; readonly after: string | null },
): Promise<Map<string, { data: Event[]; next_cursor: string | null }>> {
  const position = page.after === null ? null : decodeCursor(page.after);
  if (page.after !== null && position === null) throw invalidCursor();
  const numbered = ctx.db
    .select({
      id: events.id,
      number: sql<number>`row_number() OVER (PARTITION BY ${events.clusterId} ORDER BY ${events.sequence})`.as(
        "number",
      ),
    })
    .from(events)
    .where(
      sql`${inArray(events.clusterId, [...ids])} AND ${events.sequence} > coalesce((
        SELECT seen.sequence FROM ${events} AS seen
        WHERE seen.cluster_id = ${events.clusterId} AND seen.id = ${position?.id ?? ""}), 0)`,
    )
    .as("numbered");
  const found = await ctx.db
    .select({ event: events })
    .from(events)
    .innerJoin(numbered, sql`${numbered.id} = ${events.id} AND ${numbered.number} <= ${page.limit + 1}`)
    .orderBy(events.clusterId, events.sequence);

  const pages = new Map(ids.map((id) => [id, { data: [] as Event[], next_cursor: null as string | null }]));
  for (const { event } of found) {
    const own = pages.get(event.clusterId);
    const last = own?.data.at(-1);
    if (own === undefined) continue;
    if (own.data.length < page.limit) own.data.push(toEventResource(event));
    else if (last !== undefined) own.next_cursor = eventCursor(last);
  }
  return pages;
}
