/** Finds machines that have fallen silent. */
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows } from "../db/database.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import { notifyClusters, wakeClusters } from "./apply-lease-changes.ts";

/** Machines that go offline in one step, so that one step stays short. */
const BATCH = 500;
/** Sweeps that are further apart than so many intervals have a gap between them. */
const GAP_INTERVALS = 4;

/**
 * Marks machines offline whose last heartbeat is too old, and wakes the clusters on them. Silence counts only while
 * somebody listened: after an outage of ours, machines first get the whole time again to be heard.
 */
export async function sweepNodes(ctx: Context): Promise<TaskOutcome> {
  const nowMs = ctx.clock.nowMs();
  const intervalMs = ctx.settings.heartbeatIntervalSeconds * 1000;
  const silenceMs = ctx.settings.nodeSilenceSeconds * 1000;
  const [watch] = await rows<{ since: string }>(
    ctx.db,
    sql`INSERT INTO watches (name, since, last_at) VALUES ('nodes', ${nowMs}::bigint, ${nowMs}::bigint)
        ON CONFLICT (name) DO UPDATE SET
          since = CASE WHEN watches.last_at < ${nowMs - GAP_INTERVALS * intervalMs}::bigint
                       THEN ${nowMs}::bigint ELSE watches.since END,
          last_at = ${nowMs}::bigint
        RETURNING since`,
  );
  const next = { dueAtMs: nowMs + intervalMs };
  if (watch === undefined || Number(watch.since) > nowMs - silenceMs) return next;

  const { silent, clusterIds } = await ctx.db.transaction(async (tx) => {
    const gone = await rows<{ id: string }>(
      tx,
      sql`UPDATE nodes SET status = 'offline', change_xid = (pg_current_xact_id()::text)::bigint
          WHERE id IN (
            SELECT nodes.id FROM nodes JOIN node_sessions ON node_sessions.node_id = nodes.id
            WHERE nodes.status <> 'offline' AND node_sessions.last_seen_at < ${nowMs - silenceMs}::bigint
            ORDER BY nodes.id LIMIT ${BATCH} FOR NO KEY UPDATE OF nodes SKIP LOCKED
          ) RETURNING id`,
    );
    if (gone.length === 0) return { silent: 0, clusterIds: [] };
    const concerned = await rows<{ id: string }>(
      tx,
      sql`SELECT DISTINCT cluster_id AS id FROM leases
          WHERE node_id IN ${gone.map((node) => node.id)} AND released_at IS NULL AND desired <> 'reserved'`,
    );
    return {
      silent: gone.length,
      clusterIds: await wakeClusters(
        ctx,
        tx,
        concerned.map(({ id }) => id),
      ),
    };
  });
  if (silent > 0) ctx.logger.warn("machines have fallen silent", { nodes: silent, clusters: clusterIds.length });
  notifyClusters(ctx, clusterIds);
  return silent === BATCH ? { dueAtMs: nowMs } : next;
}
