import { parseId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { Bill, Cluster } from "@volley/schema/resources/cluster";
import { toTimestamp } from "@volley/schema/time";
import { eq, inArray, sql } from "drizzle-orm";
import { clusters, receipts, refunds } from "../db/tables.ts";
import type { PaymentReader } from "../payments/load-payments.ts";
import { loadCredits } from "./load-credits.ts";
import { loadClusterNodes } from "./load-nodes.ts";
import { loadClusterPayments } from "./load-payments.ts";
import type { ClusterRow } from "./open-cluster.ts";

/** Many clusters with all that belongs to them, in a number of statements that doesn't depend on how many there are. */
export async function toClusterResources(ctx: PaymentReader, found: readonly ClusterRow[]): Promise<Cluster[]> {
  const ids = found.map((cluster) => cluster.id);
  const [nodesById, paymentsById, credits, sequels] = await Promise.all([
    loadClusterNodes(ctx, ids),
    loadClusterPayments(ctx, ids),
    loadCredits(ctx, ids),
    loadBillSequels(ctx, found),
  ]);
  return found.map((cluster) => {
    const payment = paymentsById.get(cluster.id)?.find((one) => one.purpose === "reserve");
    if (payment === undefined) throw new Error(`cluster ${cluster.id} has no payment`);
    const sequel = sequels.get(cluster.id);
    return {
      ...clusterFields(cluster),
      credit: toMoney(credits.get(cluster.id) ?? 0n),
      payment,
      nodes: nodesById.get(cluster.id) ?? [],
      bill:
        cluster.bill === null
          ? null
          : {
              ...cluster.bill,
              refund: { ...cluster.bill.refund, ...sequel?.refund },
              receipt_id: sequel?.receipt_id ?? null,
            },
    };
  });
}

export async function toClusterResource(ctx: PaymentReader, cluster: ClusterRow): Promise<Cluster> {
  const [resource] = await toClusterResources(ctx, [cluster]);
  if (resource === undefined) throw new Error("one row gives one resource");
  return resource;
}

type ClusterFields = Omit<Cluster, "credit" | "payment" | "nodes" | "bill">;

/** The members that stand in the cluster's own row. */
export function clusterFields(
  cluster: Omit<
    ClusterRow,
    | "secretHash"
    | "customerId"
    | "callerHash"
    | "quote"
    | "feeBps"
    | "startupScript"
    | "env"
    | "masterPort"
    | "paidAt"
    | "meteredUntil"
    | "bill"
    | "eventSequence"
  >,
): ClusterFields {
  const moment = (epochMs: number | null) => (epochMs === null ? null : toTimestamp(epochMs));
  return {
    id: parseId("cluster", cluster.id),
    object: "cluster",
    status: cluster.status,
    status_reason: cluster.statusReason,
    quote_id: parseId("quote", cluster.quoteId),
    gpu: cluster.gpu,
    gpus_per_node: cluster.gpusPerNode,
    duration_seconds: cluster.durationSeconds,
    total: toMoney(cluster.totalMicroUsdc),
    refund_address: cluster.refundAddress,
    created_at: toTimestamp(cluster.createdAt),
    ready_at: moment(cluster.readyAt),
    ends_at: moment(cluster.endsAt),
    stopped_at: moment(cluster.stoppedAt),
    secret: null,
    image: cluster.image,
    name: cluster.name,
    metadata: cluster.metadata,
    client_reference: cluster.clientReference,
  };
}

interface BillSequel {
  readonly receipt_id: Bill["receipt_id"];
  readonly refund: Partial<Pick<Bill["refund"], "status" | "signature">>;
}

/** A bill is written once; how far its refund has come, and its receipt, stand in rows of their own. */
async function loadBillSequels(ctx: PaymentReader, found: readonly ClusterRow[]): Promise<Map<string, BillSequel>> {
  const ids = found.filter((cluster) => cluster.bill !== null).map((cluster) => cluster.id);
  if (ids.length === 0) return new Map();
  const own = await ctx.db
    .select({ id: clusters.id, receiptId: receipts.id, status: refunds.status, signature: refunds.signature })
    .from(clusters)
    .leftJoin(receipts, eq(receipts.clusterId, clusters.id))
    .leftJoin(refunds, eq(refunds.id, sql`${clusters.bill} -> 'refund' ->> 'id'`))
    .where(inArray(clusters.id, ids));
  return new Map(
    own.map(({ id, receiptId, status, signature }) => [
      id,
      {
        receipt_id: receiptId === null ? null : parseId("receipt", receiptId),
        refund: status === null ? {} : { status, signature },
      },
    ]),
  );
}
