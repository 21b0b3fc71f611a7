/** What suppliers say of a cluster's machines, and when their word is enough. */
import { and, eq, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Executor, Transaction } from "../db/database.ts";
import { events, leases, nodeSessions, nodes } from "../db/tables.ts";
import { appendEvent } from "../events/append.ts";
import type { LeaseRef, ObservedLease, Supplier } from "../ports/supplier.ts";
import type { LeaseRow } from "./load-nodes.ts";

/** A lease with what is known of its machine. */
export interface CarriedLease extends LeaseRow {
  readonly adapter: (typeof nodes.$inferSelect)["adapter"];
  readonly nodeStatus: (typeof nodes.$inferSelect)["status"];
  /** The machine's last heartbeat; null where machines don't send any. */
  readonly lastSeenAt: number | null;
}

/**
 * How long a machine must have been absent without a break before that is believed. An agent speaks for its own
 * machine, and its heartbeats are weighed when they arrive; a list of machines at a cloud may not show a new one yet.
 */
const ABSENCE_MS: Readonly<Record<CarriedLease["adapter"], number>> = { agent: 0, simulated: 60_000 };

/** @param sinceMs absence before this moment doesn't count */
export function isGone(lease: CarriedLease, nowMs: number, sinceMs: number): boolean {
  if (lease.observed !== "absent" || lease.observedAt === null) return false;
  return nowMs - Math.max(lease.observedAt, lease.adapter === "agent" ? 0 : sinceMs) >= ABSENCE_MS[lease.adapter];
}

/** Up, whether its main process still runs or has ended: the machine is the renter's either way. */
export function isUp(lease: LeaseRow): boolean {
  return lease.observed === "ready" || lease.observed === "exited";
}

/** Offline, and really unheard of for that long: a heartbeat may have come while it was being marked. */
export function isSilent(ctx: Context, lease: CarriedLease): boolean {
  if (lease.nodeStatus !== "offline") return false;
  const silenceMs = ctx.settings.nodeSilenceSeconds * 1000;
  return lease.lastSeenAt === null || ctx.clock.nowMs() - lease.lastSeenAt > silenceMs;
}

/** The cluster's leases in id order; with `lock` for the rest of the transaction. */
export async function carriedLeases(
  executor: Executor,
  clusterId: string,
  options: { lock: boolean },
): Promise<CarriedLease[]> {
  const query = executor
    .select({ lease: leases, adapter: nodes.adapter, nodeStatus: nodes.status, lastSeenAt: nodeSessions.lastSeenAt })
    .from(leases)
    .innerJoin(nodes, eq(nodes.id, leases.nodeId))
    .leftJoin(nodeSessions, eq(nodeSessions.nodeId, leases.nodeId))
    .where(eq(leases.clusterId, clusterId))
    .orderBy(leases.id);
  const found = await (options.lock ? query.for("no key update", { of: leases }) : query);
  return found.map(({ lease, ...machine }) => ({ ...lease, ...machine }));
}

type Step = (supplier: Supplier, refs: readonly LeaseRef[]) => Promise<void>;

/**
 * Runs one step at each supplier that carries some of the leases. A supplier's error is logged and counted, never
 * taken for an outcome: only an observation says what is.
 * @returns whether every supplier took the step
 */
export async function atSuppliers(
  ctx: Context,
  carried: readonly CarriedLease[],
  name: "launch" | "terminate" | "observe",
  step: Step,
): Promise<boolean> {
  let worked = true;
  for (const adapter of new Set(carried.map((lease) => lease.adapter))) {
    const refs = carried
      .filter((lease) => lease.adapter === adapter)
      .map(({ id, nodeId, clusterId, rank }) => ({ leaseId: id, nodeId, clusterId, rank }));
    const supplier = ctx.suppliers[adapter];
    try {
      if (supplier === undefined) throw new Error(`no supplier is set up for machines of kind "${adapter}"`);
      await step(supplier, refs);
    } catch (error) {
      worked = false;
      ctx.metrics.count("volley_supplier_errors_total", { adapter, step: name });
      ctx.logger.warn("a supplier's step failed and will be repeated", {
        adapter,
        step: name,
        cluster_id: refs[0]?.clusterId,
        error,
      });
    }
  }
  return worked;
}

export async function observeLeases(ctx: Context, carried: readonly CarriedLease[]): Promise<ObservedLease[]> {
  const observed: ObservedLease[] = [];
  await atSuppliers(ctx, carried, "observe", async (supplier, refs) => {
    observed.push(...(await supplier.observe(refs)));
  });
  return observed;
}

/**
 * Stores what was observed and returns the leases as they are now. An observation that is older than what is stored
 * changes nothing. Absence keeps the moment since which it holds; `unseenSince` keeps the last sighting before it.
 */
export async function storeObservations(
  ctx: Context,
  tx: Transaction,
  carried: readonly CarriedLease[],
  observed: readonly ObservedLease[],
): Promise<CarriedLease[]> {
  const byId = new Map(observed.map((one) => [one.leaseId, one]));
  const updated: CarriedLease[] = [];
  for (const lease of carried) {
    const seen = byId.get(lease.id);
    let now = lease;
    if (seen !== undefined && lease.releasedAt === null && seen.observedAtMs > (lease.observedAt ?? 0)) {
      now = withObservation(lease, seen);
    }
    if (now.readyAt === null && now.desired === "running" && isUp(now)) {
      now = { ...now, readyAt: now.observedAt ?? ctx.clock.nowMs() };
      await appendEvent(ctx, tx, now.clusterId, "cluster.node_ready", { rank: now.rank, node_id: now.nodeId });
    }
    if (now.observed === "exited" && now.desired === "running") await tellExit(ctx, tx, now);
    if (now !== lease) {
      const { observed: state, observedAt, unseenSince, reason, exitCode, readyAt } = now;
      await tx
        .update(leases)
        .set({ observed: state, observedAt, unseenSince, reason, exitCode, readyAt })
        .where(eq(leases.id, lease.id));
    }
    updated.push(now);
  }
  return updated;
}

/** Once: agents report into the lease's row, so what is new there can't be told from the row. */
async function tellExit(ctx: Context, tx: Transaction, lease: CarriedLease): Promise<void> {
  const told = and(
    eq(events.clusterId, lease.clusterId),
    eq(events.type, "cluster.node_exited"),
    sql`${events.data} ->> 'rank' = ${String(lease.rank)}`,
  );
  const [known] = await tx.select({ id: events.id }).from(events).where(told).limit(1);
  if (known !== undefined) return;
  const { rank, nodeId, exitCode } = lease;
  await appendEvent(ctx, tx, lease.clusterId, "cluster.node_exited", { rank, node_id: nodeId, exit_code: exitCode });
}

function withObservation(lease: CarriedLease, seen: ObservedLease): CarriedLease {
  if (seen.state === "absent" && lease.observed === "absent") return lease;
  const wasUp = isUp(lease);
  const staysUp = seen.state === "ready" || seen.state === "exited";
  return {
    ...lease,
    observed: seen.state,
    observedAt: seen.observedAtMs,
    unseenSince: staysUp ? null : wasUp ? lease.observedAt : lease.unseenSince,
    // Why a lease ended was said when it was stopped.
    reason: lease.desired === "stopped" ? lease.reason : seen.reason,
    exitCode: seen.exitCode ?? lease.exitCode,
  };
}
