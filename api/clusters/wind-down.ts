/** Stops the machines of a cluster that has ended, and gives up never. */
import { and, eq, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { clusters } from "../db/tables.ts";
import { appendEvent } from "../events/append.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import {
  atSuppliers,
  type CarriedLease,
  carriedLeases,
  isGone,
  observeLeases,
  storeObservations,
} from "./observe-leases.ts";
import { type ClusterRow, lockCluster } from "./open-cluster.ts";

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
/** A machine that is still there so long after it was to stop needs somebody's eyes. */
const ALARM_MS = 60_000;
/** After the lease's end an agent has stopped it by itself, whether it can reach us or not. */
const END_GRACE_MS = 30_000;
/** A launch may have been on its way for so long before it reaches the supplier. */
const LATE_LAUNCH_MS = 600_000;
const LATE_LAUNCH_POLL_MS = 20_000;
const LATE_LAUNCH_RETRY_MS = 5_000;

/**
 * Asks again and again for every machine to stop. A machine's capacity is given back only when its absence was
 * observed. The cluster is `stopped` then, or when the agents must have ended every lease by themselves.
 */
export async function windDown(ctx: Context, cluster: ClusterRow): Promise<TaskOutcome> {
  const before = (await carriedLeases(ctx.db, cluster.id, { lock: false })).filter(isOpen);
  if (before.length > 0) {
    await terminate(ctx, before);
  }
  const observed = await observeLeases(ctx, before);
  const open = await ctx.db.transaction(async (tx) => {
    const locked = await lockCluster(tx, cluster.id);
    if (locked === null || locked.meteredUntil === null) return [];
    const carried = (await carriedLeases(tx, cluster.id, { lock: true })).filter(isOpen);
    const stored = await storeObservations(ctx, tx, carried, observed);
    const nowMs = ctx.clock.nowMs();
    const since = locked.meteredUntil;
    const gone = stored.filter((lease) => isGone(lease, nowMs, since)).map((lease) => lease.id);
    if (gone.length > 0) {
      await tx.execute(sql`SELECT release_leases(ARRAY(SELECT jsonb_array_elements_text(${JSON.stringify(gone)}::jsonb)),
                                                 ${nowMs}::bigint)`);
    }
    const left = stored.filter((lease) => !gone.includes(lease.id));
    if (locked.status === "stopping" && left.every((lease) => hasEndedByItself(lease, nowMs))) {
      await tx
        .update(clusters)
        .set({ status: "stopped", stoppedAt: nowMs })
        .where(and(eq(clusters.id, locked.id), eq(clusters.status, "stopping")));
      await appendEvent(ctx, tx, locked.id, "cluster.stopped", { reason: locked.statusReason });
    }
    return left;
  });
  ctx.hints.notify(`cluster:${cluster.id}`);
  if (open.length === 0) return undoLateLaunches(ctx, cluster.id);

  const nowMs = ctx.clock.nowMs();
  const elapsedMs = nowMs - (cluster.meteredUntil ?? nowMs);
  if (elapsedMs > ALARM_MS) {
    ctx.metrics.count("volley_terminations_overdue_total");
    ctx.logger.error("machines that should have stopped are still not seen to be gone", {
      cluster_id: cluster.id,
      lease_ids: open.map((lease) => lease.id),
      overdue_seconds: Math.round(elapsedMs / 1000),
    });
  }
  return { dueAtMs: nowMs + Math.min(RETRY_MS_MAX, Math.max(RETRY_MS_MIN, elapsedMs / 4)) };
}

/**
 * A worker that stood still between its decision to launch and the call may make the call when the machine has long
 * been seen absent and given back. So machines at suppliers that can't tell are asked to stop for a while longer.
 */
async function undoLateLaunches(ctx: Context, clusterId: string): Promise<TaskOutcome> {
  const nowMs = ctx.clock.nowMs();
  const recent = (await carriedLeases(ctx.db, clusterId, { lock: false })).filter(
    (lease) =>
      lease.adapter !== "agent" &&
      lease.desired === "stopped" &&
      lease.releasedAt !== null &&
      nowMs - lease.releasedAt < LATE_LAUNCH_MS,
  );
  if (recent.length === 0) return "done";
  const worked = await terminate(ctx, recent);
  return { dueAtMs: nowMs + (worked ? LATE_LAUNCH_POLL_MS : LATE_LAUNCH_RETRY_MS) };
}

/** One machine that can't be stopped yet must not keep its supplier from stopping the others. */
async function terminate(ctx: Context, leases: readonly CarriedLease[]): Promise<boolean> {
  return await atSuppliers(ctx, leases, "terminate", async (supplier, refs) => {
    try {
      await supplier.terminate(refs);
    } catch (error) {
      if (refs.length === 1) throw error;
      const results = await Promise.allSettled(refs.map((ref) => supplier.terminate([ref])));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    }
  });
}

const isOpen = (lease: CarriedLease) => lease.releasedAt === null;

function hasEndedByItself(lease: CarriedLease, nowMs: number): boolean {
  return lease.adapter === "agent" && lease.endsAt !== null && nowMs > lease.endsAt + END_GRACE_MS;
}
