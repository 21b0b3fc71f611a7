import { and, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type Transaction, wake } from "../db/database.ts";
import { leases } from "../db/tables.ts";
import type { KnownLease, LeaseChange } from "./weigh-observation.ts";

export type NodeLease = KnownLease & { readonly id: string; readonly clusterId: string };

/**
 * Locks the node's leases that still count, in id order, weighs each and stores what has changed; wakes the clusters
 * that it concerns.
 * @param weigh null when nothing changes
 * @returns the clusters to be told after the commit
 */
export async function applyLeaseChanges(
  ctx: Context,
  tx: Transaction,
  nodeId: string,
  leaseIds: readonly string[],
  weigh: (lease: NodeLease) => LeaseChange | null,
): Promise<string[]> {
  if (leaseIds.length === 0) return [];
  const open = await tx
    .select()
    .from(leases)
    .where(and(inArray(leases.id, [...leaseIds]), eq(leases.nodeId, nodeId), isNull(leases.releasedAt)))
    .orderBy(leases.id)
    .for("no key update");
  const clusterIds = new Set<string>();
  for (const lease of open) {
    const change = weigh(lease);
    if (change === null) continue;
    await tx.update(leases).set(change).where(eq(leases.id, lease.id));
    if (change.observed !== undefined) clusterIds.add(lease.clusterId);
  }
  return wakeClusters(ctx, tx, clusterIds);
}

/** In id order, so that two nodes with the same clusters can't deadlock. */
export async function wakeClusters(ctx: Context, tx: Transaction, clusterIds: Iterable<string>): Promise<string[]> {
  const sorted = [...new Set(clusterIds)].sort();
  for (const id of sorted) await wake(tx, "cluster", id, ctx.clock.nowMs());
  return sorted;
}

/** The clusters that have a lease on the node which isn't released. */
export async function clustersOnNode(tx: Transaction, nodeId: string): Promise<string[]> {
  const found = await tx
    .selectDistinct({ id: leases.clusterId })
    .from(leases)
    .where(and(eq(leases.nodeId, nodeId), isNull(leases.releasedAt), sql`${leases.desired} <> 'reserved'`));
  return found.map(({ id }) => id);
}

/** Tells whoever waits in this process, after the commit. */
export function notifyClusters(ctx: Context, clusterIds: readonly string[]): void {
  if (clusterIds.length === 0) return;
  ctx.hints.notify("tasks");
  for (const id of clusterIds) ctx.hints.notify(`cluster:${id}`);
}
