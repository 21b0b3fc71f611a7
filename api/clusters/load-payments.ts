import type { Payment } from "@volley/schema/resources/payment";
import { inArray } from "drizzle-orm";
import { payments } from "../db/tables.ts";
import { loadPaymentResources, type PaymentReader } from "../payments/load-payments.ts";

/** The payments of many clusters, oldest first; every asked id has its list. */
export async function loadClusterPayments(
  ctx: PaymentReader,
  clusterIds: readonly string[],
): Promise<Map<string, Payment[]>> {
  const byCluster = new Map<string, Payment[]>(clusterIds.map((id) => [id, []]));
  if (clusterIds.length === 0) return byCluster;
  const found = await ctx.db
    .select()
    .from(payments)
    .where(inArray(payments.clusterId, [...clusterIds]))
    .orderBy(payments.createdAt, payments.id);
  for (const payment of await loadPaymentResources(ctx, found)) byCluster.get(payment.cluster_id ?? "")?.push(payment);
  return byCluster;
}
