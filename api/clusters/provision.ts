/** Starts a gang: all ranks or none. */
import { toTimestamp } from "@volley/schema/time";
import { and, eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { clusters, leases } from "../db/tables.ts";
import { appendEvent } from "../events/append.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import { endCluster, notifyEnded } from "./end-cluster.ts";
import {
  atSuppliers,
  type CarriedLease,
  carriedLeases,
  isSilent,
  isUp,
  observeLeases,
  storeObservations,
} from "./observe-leases.ts";
import { type ClusterRow, lockCluster } from "./open-cluster.ts";

/** How often machines are looked at that don't report by themselves; less often the longer they take. */
const POLL_MS_MIN = 1_000;
const POLL_MS_MAX = 10_000;

export async function provision(ctx: Context, cluster: ClusterRow): Promise<TaskOutcome> {
  const deadlineMs = (cluster.paidAt ?? cluster.createdAt) + ctx.settings.provisioningTimeoutSeconds * 1000;
  await wantRunning(ctx, cluster, deadlineMs);
  const before = await carriedLeases(ctx.db, cluster.id, { lock: false });
  for (const lease of before) ctx.hints.notify(`node:${lease.nodeId}`);
  const missing = before.filter((lease) => lease.desired === "running" && isMissing(lease));
  await atSuppliers(ctx, missing, "launch", (supplier, refs) => supplier.launch(refs));
  const observed = await observeLeases(ctx, before);

  const step = await ctx.db.transaction(async (tx) => {
    const locked = await lockCluster(tx, cluster.id);
    if (locked?.status !== "provisioning") return { kind: "moved" } as const;
    const carried = await storeObservations(ctx, tx, await carriedLeases(tx, cluster.id, { lock: true }), observed);
    const nowMs = ctx.clock.nowMs();
    if (carried.every(isUp)) return { kind: "running", endsAtMs: await begin(ctx, tx, locked) } as const;
    const reasonByRank = failure(ctx, carried, nowMs >= deadlineMs);
    if (reasonByRank === null)
      return { kind: "waiting", polled: carried.some((one) => one.adapter !== "agent") } as const;
    const ending = { status: "failed", reason: "gang_failed", meteredUntilMs: nowMs, reasonByRank } as const;
    return { kind: "failed", ...(await endCluster(ctx, tx, locked, ending)) } as const;
  });

  const nowMs = ctx.clock.nowMs();
  switch (step.kind) {
    case "running":
      notifyEnded(
        ctx,
        cluster.id,
        before.map((lease) => lease.nodeId),
      );
      return { dueAtMs: Math.min(step.endsAtMs, nowMs + POLL_MS_MIN) };
    case "failed":
      notifyEnded(ctx, cluster.id, step.nodeIds);
      return { dueAtMs: nowMs };
    case "moved":
      return { dueAtMs: nowMs };
    case "waiting":
      ctx.hints.notify(`cluster:${cluster.id}`);
      return { dueAtMs: step.polled ? Math.min(deadlineMs, nowMs + pollMs(cluster, nowMs)) : deadlineMs };
  }
}

function pollMs(cluster: ClusterRow, nowMs: number): number {
  const elapsedMs = nowMs - (cluster.paidAt ?? nowMs);
  return Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, Math.floor(elapsedMs / 10)));
}

/** Not heard of yet. What an agent says is gone is gone; a cloud may only not show it yet, and launching is idempotent. */
function isMissing(lease: CarriedLease): boolean {
  return lease.observed === "none" || (lease.observed === "absent" && lease.adapter !== "agent");
}

/**
 * The intent comes first, in a transaction of its own, with an end that holds whatever happens later: a crash after
 * it can't leave a machine that nobody knows of.
 */
async function wantRunning(ctx: Context, cluster: ClusterRow, deadlineMs: number): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    const locked = await lockCluster(tx, cluster.id);
    if (locked?.status !== "provisioning") return;
    await tx
      .update(leases)
      .set({ desired: "running", endsAt: deadlineMs + locked.durationSeconds * 1000 })
      .where(and(eq(leases.clusterId, cluster.id), eq(leases.desired, "reserved")));
  });
}

/** Every rank is ready: the meter starts. */
async function begin(ctx: Context, tx: Transaction, cluster: ClusterRow): Promise<number> {
  const readyAt = ctx.clock.nowMs();
  const endsAt = readyAt + cluster.durationSeconds * 1000;
  await tx.update(clusters).set({ status: "running", readyAt, endsAt }).where(eq(clusters.id, cluster.id));
  await tx.update(leases).set({ endsAt }).where(eq(leases.clusterId, cluster.id));
  await appendEvent(ctx, tx, cluster.id, "cluster.running", { ends_at: toTimestamp(endsAt) });
  return endsAt;
}

/** One reason per rank when the gang can't come up any more; null while it still may. */
function failure(ctx: Context, carried: readonly CarriedLease[], timedOut: boolean): Map<number, string> | null {
  const timeoutSeconds = ctx.settings.provisioningTimeoutSeconds;
  const reasons = new Map<number, string>();
  for (const lease of carried) {
    if (lease.observed === "failed") reasons.set(lease.rank, lease.reason ?? "The machine could not start it.");
    else if (lease.observed === "absent" && lease.adapter === "agent")
      reasons.set(lease.rank, lease.reason ?? "It vanished from the machine.");
    else if (isSilent(ctx, lease)) reasons.set(lease.rank, "The machine fell silent.");
    else if (timedOut && !isUp(lease)) reasons.set(lease.rank, `It was not ready within ${timeoutSeconds} seconds.`);
  }
  if (reasons.size === 0) return null;
  const culprits = [...reasons.keys()].sort((one, other) => one - other).join(", ");
  for (const lease of carried) {
    if (reasons.has(lease.rank)) continue;
    const state = isUp(lease) ? "ready" : "starting";
    reasons.set(lease.rank, `It was ${state}, and was stopped because the gang lacked rank ${culprits}.`);
  }
  return reasons;
}
