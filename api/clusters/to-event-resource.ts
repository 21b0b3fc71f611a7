import { type Event, parseId, toTimestamp } from "@volley/schema";
import type { events } from "../db/tables.ts";

export function toEventResource(row: typeof events.$inferSelect): Event {
  return {
    id: parseId("event", row.id),
    object: "event",
    type: row.type,
    cluster_id: parseId("cluster", row.clusterId),
    created_at: toTimestamp(row.createdAt),
    data: row.data,
  };
}
