import type { Receipt } from "@volley/schema";
import { and, eq, inArray } from "drizzle-orm";
import { opensCluster } from "../clusters/open-cluster.ts";
import type { Context } from "../context.ts";
import { clusters, receipts } from "../db/tables.ts";
import { toReceiptResources } from "./to-receipt-resource.ts";

/** The receipts of many clusters, by the cluster's id; those that the credential doesn't open are left out. */
export async function loadClusterReceipts(ctx: Context, clusterIds: readonly string[]): Promise<Map<string, Receipt>> {
  const found = await ctx.db
    .select({ receipt: receipts })
    .from(receipts)
    .innerJoin(clusters, eq(clusters.id, receipts.clusterId))
    .where(and(inArray(receipts.clusterId, [...clusterIds]), opensCluster(ctx)));
  const resources = await toReceiptResources(
    ctx,
    found.map((row) => row.receipt),
  );
  return new Map(resources.map((receipt) => [receipt.cluster_id, receipt]));
}
