import { type Id, parseId } from "@volley/schema/ids";
import { parseUsdc, toMoney } from "@volley/schema/money";
import type { KeptBill } from "@volley/schema/resources/cluster";
import type { ReceiptContent } from "@volley/schema/resources/receipt";
import { toTimestamp } from "@volley/schema/time";
import { and, asc, eq, ne } from "drizzle-orm";
import { loadClusterPayments } from "../clusters/load-payments.ts";
import type { ClusterRow } from "../clusters/open-cluster.ts";
import type { Context } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { leases, nodes, refunds } from "../db/tables.ts";
import { smaller } from "../ledger/smaller.ts";
import { computeCharge } from "../market/price.ts";
import { availableCredit } from "../payments/available-credit.ts";

/** Where the receipt stands in its chain, and who says so. */
export type ReceiptPlace = Pick<ReceiptContent, "id" | "issuer" | "chain" | "sequence" | "previous_hash" | "issued_at">;

/** A cluster that has ended, locked by the caller: so long, none of its money moves. */
export interface EndedCluster extends ClusterRow {
  readonly bill: KeptBill;
  readonly meteredUntil: number;
}

/**
 * What a receipt says of a cluster as it stands now.
 * @throws {Error} when more was paid than was charged and sent back: then the books are wrong, and nothing is signed
 */
export async function buildReceipt(
  { settings }: Pick<Context, "settings">,
  tx: Transaction,
  cluster: EndedCluster,
  place: ReceiptPlace,
): Promise<ReceiptContent> {
  const { bill } = cluster;
  const paidFor = (await loadClusterPayments({ db: tx, settings }, [cluster.id])).get(cluster.id) ?? [];
  const paid = sum(paidFor.map((payment) => parseUsdc(payment.received.amount)));
  const sentBack = await sentBackOf(tx, cluster);
  const charged = parseUsdc(bill.charged.amount);
  const writtenOff = charged + sum(sentBack.map((refund) => refund.amountMicroUsdc)) - paid;
  if (writtenOff < 0n) {
    throw new Error(`of what was paid for ${cluster.id}, ${-writtenOff} micro-USDC were neither charged nor sent back`);
  }
  return {
    ...place,
    cluster_id: parseId("cluster", cluster.id),
    quote_id: parseId("quote", cluster.quoteId),
    quoted: cluster.quote.total,
    gpu: cluster.gpu,
    gpus_per_node: cluster.gpusPerNode,
    ready_at: cluster.readyAt === null ? null : toTimestamp(cluster.readyAt),
    ended_at: toTimestamp(cluster.meteredUntil),
    status_reason: cluster.statusReason,
    nodes: await chargedNodes(tx, cluster),
    compute: bill.compute,
    platform_fee_bps: cluster.feeBps,
    platform_fee: bill.platform_fee,
    charged: bill.charged,
    payments: paidFor.map(({ id, purpose, rail, received, signatures }) => ({
      id: id as Id<"payment">,
      purpose,
      rail,
      received,
      signatures,
    })),
    paid: toMoney(paid),
    refunds: sentBack.map(({ id, amountMicroUsdc, to }) => ({ id, amount: toMoney(amountMicroUsdc), to })),
    written_off: toMoney(writtenOff),
  };
}

/** Each rank's part of the bill. Where the bill asks for less than the sum, it is the last ranks that go without. */
async function chargedNodes(tx: Transaction, cluster: EndedCluster): Promise<ReceiptContent["nodes"]> {
  const carried = await tx
    .select({
      rank: leases.rank,
      nodeId: leases.nodeId,
      gpus: leases.gpus,
      rateMicroUsdcPerGpuHour: leases.rateMicroUsdcPerGpuHour,
      country: nodes.country,
    })
    .from(leases)
    .innerJoin(nodes, eq(nodes.id, leases.nodeId))
    .where(eq(leases.clusterId, cluster.id))
    .orderBy(asc(leases.rank));
  const secondsOf = new Map(cluster.bill.billed_seconds.map(({ rank, seconds }) => [rank, seconds]));
  const whole = carried.map((lease) => {
    const seconds = secondsOf.get(lease.rank) ?? 0;
    return { ...lease, seconds, amountMicroUsdc: computeCharge({ ...lease, seconds }) };
  });
  let excess = sum(whole.map((rank) => rank.amountMicroUsdc)) - parseUsdc(cluster.bill.compute.amount);
  const cut = whole.toReversed().map((rank) => {
    const without = smaller(rank.amountMicroUsdc, excess);
    excess -= without;
    return { ...rank, amountMicroUsdc: rank.amountMicroUsdc - without };
  });
  return cut.toReversed().map(({ rank, nodeId, country, seconds, rateMicroUsdcPerGpuHour, amountMicroUsdc }) => ({
    rank,
    node_id: nodeId,
    country,
    seconds,
    price_per_gpu_hour: toMoney(rateMicroUsdcPerGpuHour),
    amount: toMoney(amountMicroUsdc),
  }));
}

interface SentBack {
  readonly id: string | null;
  readonly amountMicroUsdc: bigint;
  readonly to: string;
}

async function sentBackOf(tx: Transaction, cluster: EndedCluster): Promise<SentBack[]> {
  const onChain = await tx
    .select({ id: refunds.id, amountMicroUsdc: refunds.amountMicroUsdc, to: refunds.toAddress })
    .from(refunds)
    .where(and(eq(refunds.clusterId, cluster.id), ne(refunds.status, "cancelled")))
    .orderBy(asc(refunds.createdAt), asc(refunds.id));
  const { refund } = cluster.bill;
  const moved = refund.to === "balance" ? parseUsdc(refund.amount.amount) : 0n;
  const others: readonly SentBack[] = [
    { id: null, amountMicroUsdc: moved, to: "balance" },
    { id: null, amountMicroUsdc: await availableCredit(tx, cluster.id), to: "credit" },
  ];
  return [...onChain, ...others.filter((one) => one.amountMicroUsdc > 0n)];
}

const sum = (amounts: readonly bigint[]) => amounts.reduce((total, amount) => total + amount, 0n);
