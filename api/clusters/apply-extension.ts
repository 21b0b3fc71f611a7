import { toMoney } from "@volley/schema/money";
import { DURATION_SECONDS_MAX, toTimestamp } from "@volley/schema/time";
import { eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type Transaction, wake } from "../db/database.ts";
import { clusters, leases } from "../db/tables.ts";
import { appendEvent } from "../events/append.ts";
import type { PaymentRow } from "../payments/to-payment-resource.ts";
import type { ClusterRow } from "./open-cluster.ts";

/**
 * Moves the end of a running cluster for an extension that is paid now. The caller holds the cluster's row.
 * @returns false when the cluster doesn't run any more or would run too long; then the money is its credit
 */
export async function applyExtension(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow,
  payment: PaymentRow,
): Promise<boolean> {
  const seconds = payment.extensionSeconds ?? 0;
  if (!isExtensible(ctx, cluster) || cluster.durationSeconds + seconds > DURATION_SECONDS_MAX) return false;
  await moveEnd(ctx, tx, cluster, seconds, payment.amountMicroUsdc);
  return true;
}

/** A lease that has ended by itself can't be brought back, whether its end was noticed yet or not. */
export function isExtensible(ctx: Context, cluster: ClusterRow): cluster is ClusterRow & { endsAt: number } {
  return cluster.status === "running" && cluster.endsAt !== null && ctx.clock.nowMs() < cluster.endsAt;
}

export async function moveEnd(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow & { endsAt: number },
  seconds: number,
  amountMicroUsdc: bigint,
): Promise<void> {
  const endsAt = cluster.endsAt + seconds * 1000;
  await tx
    .update(clusters)
    .set({
      endsAt,
      durationSeconds: cluster.durationSeconds + seconds,
      totalMicroUsdc: cluster.totalMicroUsdc + amountMicroUsdc,
    })
    .where(eq(clusters.id, cluster.id));
  await tx.update(leases).set({ endsAt }).where(eq(leases.clusterId, cluster.id));
  await appendEvent(ctx, tx, cluster.id, "cluster.extended", {
    duration_seconds: seconds,
    total: toMoney(amountMicroUsdc),
    ends_at: toTimestamp(endsAt),
  });
  await wake(tx, "cluster", cluster.id, ctx.clock.nowMs());
}
