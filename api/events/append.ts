import type { EventType } from "@volley/schema/resources/cluster";
import { sql } from "drizzle-orm";
import { type Maker, newId } from "../context.ts";
import type { Transaction } from "../db/database.ts";

/**
 * Adds to the cluster's log in the caller's transaction. Locks the cluster's row, so take that lock first
 * wherever others are taken too.
 */
export async function appendEvent(
  ctx: Maker,
  tx: Transaction,
  clusterId: string,
  type: EventType,
  data: Readonly<Record<string, unknown>>,
): Promise<void> {
  await tx.execute(
    sql`SELECT append_event(${clusterId}, ${newId(ctx, "event")}, ${type}, ${JSON.stringify(data)}::jsonb,
                            ${ctx.clock.nowMs()}::bigint)`,
  );
}
