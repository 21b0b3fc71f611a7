/** Watches a running cluster for its end and for machines that fail. */
import type { Context } from "../context.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import { type Ending, endCluster, notifyEnded } from "./end-cluster.ts";
import {
  type CarriedLease,
  carriedLeases,
  isGone,
  isSilent,
  observeLeases,
  storeObservations,
} from "./observe-leases.ts";
import { type ClusterRow, lockCluster } from "./open-cluster.ts";

/** Agents report by themselves; this only bounds how long a lost wake-up could go unnoticed. */
const AGENT_POLL_MS = 30_000;
const POLL_MS = 15_000;

export async function supervise(ctx: Context, cluster: ClusterRow): Promise<TaskOutcome> {
  const before = await carriedLeases(ctx.db, cluster.id, { lock: false });
  const observed = await observeLeases(ctx, before);
  const step = await ctx.db.transaction(async (tx) => {
    const locked = await lockCluster(tx, cluster.id);
    if (locked?.status !== "running" || locked.endsAt === null) return { kind: "moved" } as const;
    const carried = await storeObservations(ctx, tx, await carriedLeases(tx, cluster.id, { lock: true }), observed);
    const ending = endingOf(ctx, locked, locked.endsAt, carried);
    if (ending === null) return { kind: "running", endsAtMs: locked.endsAt } as const;
    return { kind: "ended", ...(await endCluster(ctx, tx, locked, ending)) } as const;
  });
  const nowMs = ctx.clock.nowMs();
  switch (step.kind) {
    case "moved":
      return { dueAtMs: nowMs };
    case "ended":
      notifyEnded(ctx, cluster.id, step.nodeIds);
      return { dueAtMs: nowMs };
    case "running": {
      const pollMs = before.every((lease) => lease.adapter === "agent") ? AGENT_POLL_MS : POLL_MS;
      return { dueAtMs: Math.min(step.endsAtMs, nowMs + pollMs) };
    }
  }
}

/** A fault counts from the moment when its rank was last seen well; what would have been the end anyway is no fault. */
function endingOf(
  ctx: Context,
  cluster: ClusterRow,
  endsAtMs: number,
  carried: readonly CarriedLease[],
): Ending | null {
  const nowMs = ctx.clock.nowMs();
  const atEnd = { status: "stopping", reason: "lease_ended", meteredUntilMs: endsAtMs } as const;
  const faults = carried.flatMap((lease) => faultOf(ctx, lease, nowMs));
  if (faults.length === 0) return nowMs >= endsAtMs ? atEnd : null;
  const meteredUntilMs = Math.max(cluster.readyAt ?? 0, Math.min(...faults.map((fault) => fault.lastWellMs)));
  // Agents end leases by themselves, so near the end absence is expected.
  const toleranceMs = 2 * ctx.settings.heartbeatIntervalSeconds * 1000;
  if (nowMs >= endsAtMs && meteredUntilMs >= endsAtMs - toleranceMs) return atEnd;
  const culprits = faults.map((fault) => fault.rank).join(", ");
  const reasonByRank = new Map<number, string>();
  for (const { rank } of carried) reasonByRank.set(rank, `It was stopped because rank ${culprits} failed.`);
  for (const fault of faults) reasonByRank.set(fault.rank, fault.reason);
  return { status: "stopping", reason: "supplier_fault", meteredUntilMs, reasonByRank };
}

interface Fault {
  readonly rank: number;
  readonly lastWellMs: number;
  readonly reason: string;
}

function faultOf(ctx: Context, lease: CarriedLease, nowMs: number): Fault[] {
  const lastWellMs = lease.unseenSince ?? lease.observedAt ?? nowMs;
  const { rank, reason } = lease;
  if (lease.observed === "failed") {
    return [{ rank, lastWellMs, reason: reason ?? "The machine reports that it failed." }];
  }
  if (isGone(lease, nowMs, 0)) return [{ rank, lastWellMs, reason: reason ?? "It vanished from the machine." }];
  if (isSilent(ctx, lease)) {
    return [{ rank, lastWellMs: lease.lastSeenAt ?? lastWellMs, reason: "The machine fell silent." }];
  }
  return [];
}
