/** The one way in which a cluster's time ends, whatever the reason: meter, money, machines and log in one transaction. */

import { toMoney } from "@volley/schema/money";
import type { ClusterReason, KeptBill } from "@volley/schema/resources/cluster";
import { and, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type Transaction, wake } from "../db/database.ts";
import { clusters, executionRanks, leases, payments } from "../db/tables.ts";
import { appendEvent } from "../events/append.ts";
import { customerAccount, lockAccount } from "../ledger/accounts.ts";
import { settleBill } from "../ledger/settle-bill.ts";
import { netPaid } from "../payments/refunds/net-paid.ts";
import { refundRest } from "../payments/refunds/refund-rest.ts";
import { computeBill } from "./compute-bill.ts";
import type { LeaseRow } from "./load-nodes.ts";
import type { ClusterRow } from "./open-cluster.ts";

export interface Ending {
  /** `expired` and `failed` cost nothing; `stopping` waits for the machines' absence. */
  readonly status: "expired" | "failed" | "stopping";
  readonly reason: ClusterReason;
  /** Metering ends here. */
  readonly meteredUntilMs: number;
  /** Why each rank ended, where there is something to say. */
  readonly reasonByRank?: ReadonlyMap<number, string>;
}

const EVENT_TYPES = { expired: "cluster.expired", failed: "cluster.failed", stopping: "cluster.stopping" } as const;

/**
 * Ends metering, settles the bill, sends the rest back or leaves it as credit, gives machines that never ran back
 * and wants all others stopped. The caller holds the cluster's row, which must not have ended yet.
 * @returns what the machines' suppliers and streams have to be told after the commit
 */
export async function endCluster(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow,
  ending: Ending,
): Promise<{ nodeIds: string[] }> {
  const nowMs = ctx.clock.nowMs();
  await closePayments(tx, cluster.id);
  const carried = await stopLeases(ctx, tx, cluster, ending);

  // One that the balance pays takes it first, so one that leaves its rest to it must not come to it last.
  if (cluster.customerId !== null) await lockAccount(tx, customerAccount(cluster.customerId));
  const { ranks, charges } = await computeBill(tx, cluster, ending.meteredUntilMs);
  await settleBill(ctx, tx, {
    clusterId: cluster.id,
    chargedMicroUsdc: charges.totalMicroUsdc,
    supplierShares: ranks,
    platformFeeMicroUsdc: charges.platformFeeMicroUsdc,
  });
  const refund = await refundRest(ctx, tx, cluster);
  const bill: KeptBill = {
    billed_seconds: ranks.map(({ rank, seconds }) => ({ rank, seconds })),
    compute: toMoney(charges.computeMicroUsdc),
    platform_fee: toMoney(charges.platformFeeMicroUsdc),
    charged: toMoney(charges.totalMicroUsdc),
    paid: toMoney(await netPaid(tx, cluster.id, refund.id)),
    refund,
  };

  await tx
    .update(clusters)
    .set({
      status: ending.status,
      statusReason: ending.reason,
      meteredUntil: ending.meteredUntilMs,
      stoppedAt: ending.status === "stopping" ? null : nowMs,
      bill,
    })
    .where(eq(clusters.id, cluster.id));
  await appendEvent(ctx, tx, cluster.id, EVENT_TYPES[ending.status], {
    reason: ending.reason,
    charged: bill.charged,
    refund: bill.refund,
    ...(ending.reasonByRank === undefined
      ? {}
      : { nodes: [...ending.reasonByRank].map(([rank, reason]) => ({ rank, reason })) }),
  });
  await wake(tx, "cluster", cluster.id, nowMs);
  if (ctx.settings.receiptKeys.length > 0) await wake(tx, "receipts", cluster.customerId ?? cluster.id, nowMs);
  return { nodeIds: carried.map((lease) => lease.nodeId) };
}

/** Tells whoever waits in this process, after the commit of {@link endCluster}. */
export function notifyEnded(ctx: Context, clusterId: string, nodeIds: readonly string[]): void {
  ctx.hints.notify("tasks");
  ctx.hints.notify(`cluster:${clusterId}`);
  for (const nodeId of new Set(nodeIds)) ctx.hints.notify(`node:${nodeId}`);
}

/** Money that comes from now on is late. */
async function closePayments(tx: Transaction, clusterId: string): Promise<void> {
  await tx
    .select({ id: payments.id })
    .from(payments)
    .where(eq(payments.clusterId, clusterId))
    .orderBy(payments.id)
    .for("no key update");
  await tx
    .update(payments)
    .set({ status: "expired" })
    .where(and(eq(payments.clusterId, clusterId), inArray(payments.status, ["pending", "detected"])));
}

/** A lease that never was to run is given back at once; every other one only when its absence was observed. */
async function stopLeases(ctx: Context, tx: Transaction, cluster: ClusterRow, ending: Ending): Promise<LeaseRow[]> {
  const nowMs = ctx.clock.nowMs();
  const carried = await tx
    .select()
    .from(leases)
    .where(eq(leases.clusterId, cluster.id))
    .orderBy(leases.id)
    .for("no key update");
  await tx
    .update(leases)
    .set({ desired: "stopped" })
    .where(and(eq(leases.clusterId, cluster.id), eq(leases.desired, "running")));
  for (const [rank, reason] of ending.reasonByRank ?? []) {
    await tx
      .update(leases)
      .set({ reason })
      .where(and(eq(leases.clusterId, cluster.id), eq(leases.rank, rank)));
  }
  const unused = carried.filter((lease) => lease.desired === "reserved").map((lease) => lease.id);
  if (unused.length > 0) {
    await tx.execute(sql`SELECT release_leases(ARRAY(SELECT jsonb_array_elements_text(${JSON.stringify(unused)}::jsonb)),
                                               ${nowMs}::bigint)`);
  }
  const leaseIds = carried.map((lease) => lease.id);
  await tx
    .update(executionRanks)
    .set({ exitCode: -1, reason: "The cluster has ended.", finishedAt: nowMs })
    .where(and(inArray(executionRanks.leaseId, leaseIds), isNull(executionRanks.finishedAt)));
  return carried;
}
