import {
  type ClusterExtension,
  DURATION_SECONDS_MAX,
  DURATION_SECONDS_MIN,
  type InputOf,
  type Operations,
  type OutputOf,
  parseId,
  toMoney,
  toTimestamp,
  VolleyError,
} from "@volley/schema";
import { and, eq } from "drizzle-orm";
import { type Context, newId } from "../context.ts";
import { type Transaction, wake } from "../db/database.ts";
import { leases, payments } from "../db/tables.ts";
import { runIdempotent } from "../idempotency/run-idempotent.ts";
import { requireUnfrozen } from "../identity/open-account.ts";
import { LedgerError } from "../ledger/errors.ts";
import { fund } from "../ledger/fund.ts";
import { hold } from "../ledger/hold.ts";
import { bill } from "../market/price.ts";
import { availableCredit } from "../payments/available-credit.ts";
import { requireChainOpen } from "../payments/chain-closed.ts";
import { commitmentFor } from "../payments/inbound/commitment-for.ts";
import { isFinalEnough } from "../payments/inbound/is-final-enough.ts";
import { insufficientBalance } from "../payments/insufficient-balance.ts";
import { newReference } from "../payments/solana-pay/transfer-request.ts";
import { type PaymentRow, toPaymentResource } from "../payments/to-payment-resource.ts";
import { isExtensible, moveEnd } from "./apply-extension.ts";
import { type ClusterRow, clusterNotFound, lockCluster, openCluster } from "./open-cluster.ts";

type Extend = Operations["clusters.extend"];

/**
 * More time at the quoted rates: paid at once from the cluster's credit when that is enough, else by a payment of
 * its own, on whose arrival the end moves.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `cluster_not_running`, `duration_out_of_range`, `idempotency_*`
 */
export async function extendCluster(ctx: Context, input: InputOf<Extend>): Promise<OutputOf<Extend>> {
  const { id } = await openCluster(ctx, input.id);
  const answer = await runIdempotent(ctx, { operation: "clusters.extend", input }, async (tx) => {
    const cluster = await lockCluster(tx, id);
    if (cluster === null) throw clusterNotFound();
    if (!isExtensible(ctx, cluster)) {
      throw new VolleyError(
        "cluster_not_running",
        `The cluster is ${cluster.status}; only a running one has an end to move.`,
        {
          nextAction: "Wait until it runs, or reserve a new one.",
        },
      );
    }
    requireDuration(cluster, input.duration_seconds);
    const total = await priceOf(tx, cluster, input.duration_seconds);
    const extension: ClusterExtension = {
      object: "cluster_extension",
      cluster_id: parseId("cluster", id),
      duration_seconds: input.duration_seconds,
      total: toMoney(total),
      ends_at: toTimestamp(cluster.endsAt + input.duration_seconds * 1000),
      dry_run: input.dry_run,
      payment: null,
    };
    if (input.dry_run) return extension;
    if ((await availableCredit(tx, id)) >= total && (await isFinalEnough(ctx, tx, id))) {
      await payFromCredit(ctx, tx, cluster, input.duration_seconds, total);
      return extension;
    }
    const payment = (await paidByBalance(tx, id))
      ? await payFromBalance(ctx, tx, cluster, input.duration_seconds, total)
      : await askForPayment(ctx, tx, cluster, input.duration_seconds, total);
    return { ...extension, payment: toPaymentResource(ctx.settings, payment) };
  });
  ctx.hints.notify("tasks");
  ctx.hints.notify(`cluster:${id}`);
  return answer;
}

function requireDuration(cluster: ClusterRow, seconds: number): void {
  const most = DURATION_SECONDS_MAX - cluster.durationSeconds;
  if (seconds >= DURATION_SECONDS_MIN && seconds <= most) return;
  throw new VolleyError(
    "duration_out_of_range",
    most < DURATION_SECONDS_MIN
      ? "The cluster has the longest duration already."
      : `An extension of this cluster takes ${DURATION_SECONDS_MIN} to ${most} seconds.`,
    { nextAction: "Choose a duration in that range, or reserve another cluster." },
  );
}

/** The difference between two bills, so that the parts of a rental cost exactly what the whole does. */
async function priceOf(tx: Transaction, cluster: ClusterRow, seconds: number): Promise<bigint> {
  const carried = await tx.select().from(leases).where(eq(leases.clusterId, cluster.id));
  const costOf = (duration: number) =>
    bill(
      carried.map(({ gpus, rateMicroUsdcPerGpuHour }) => ({ gpus, rateMicroUsdcPerGpuHour, seconds: duration })),
      cluster.feeBps,
    ).totalMicroUsdc;
  return costOf(cluster.durationSeconds + seconds) - costOf(cluster.durationSeconds);
}

async function payFromCredit(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow & { endsAt: number },
  seconds: number,
  total: bigint,
): Promise<void> {
  if (total > 0n) {
    const reference = `${cluster.id}:${cluster.durationSeconds}`;
    const timeoutMs = ctx.clock.nowMs();
    const { id } = cluster;
    const order = { clusterId: id, ownerId: id, amountMicroUsdc: total, timeoutMs, reference };
    await fund(ctx, tx, await hold(ctx, tx, order));
  }
  await moveEnd(ctx, tx, cluster, seconds, total);
}

/** More time is paid as the cluster itself was. */
async function paidByBalance(tx: Transaction, clusterId: string): Promise<boolean> {
  const [reserved] = await tx
    .select({ rail: payments.rail })
    .from(payments)
    .where(and(eq(payments.clusterId, clusterId), eq(payments.purpose, "reserve")));
  return reserved?.rail === "balance";
}

async function payFromBalance(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow & { endsAt: number },
  seconds: number,
  total: bigint,
): Promise<PaymentRow> {
  const nowMs = ctx.clock.nowMs();
  const id = newId(ctx, "payment");
  const ownerId = cluster.customerId;
  if (ownerId === null) throw new Error(`cluster ${cluster.id} was paid from the balance of nobody`);
  await requireUnfrozen(tx, ownerId);
  const order = { clusterId: cluster.id, ownerId, amountMicroUsdc: total, timeoutMs: nowMs, reference: id };
  const holdTransferId = await hold(ctx, tx, order);
  await fundFromBalance(ctx, tx, holdTransferId);
  const [payment] = await tx
    .insert(payments)
    .values({
      id,
      clusterId: cluster.id,
      customerId: ownerId,
      purpose: "extend",
      rail: "balance",
      status: "settled",
      amountMicroUsdc: total,
      receivedMicroUsdc: total,
      holdTransferId,
      commitment: "confirmed",
      extensionSeconds: seconds,
      expiresAt: nowMs,
      createdAt: nowMs,
      settledAt: nowMs,
    })
    .returning();
  if (payment === undefined) throw new Error("the payment's row was not written");
  await moveEnd(ctx, tx, cluster, seconds, total);
  return payment;
}

async function fundFromBalance(ctx: Context, tx: Transaction, holdTransferId: string): Promise<void> {
  try {
    await fund(ctx, tx, holdTransferId);
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== "insufficient_funds") throw error;
    throw insufficientBalance();
  }
}

async function askForPayment(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow & { endsAt: number },
  seconds: number,
  total: bigint,
): Promise<PaymentRow> {
  const nowMs = ctx.clock.nowMs();
  const id = newId(ctx, "payment");
  const expiresAt = Math.min(nowMs + ctx.settings.paymentLifetimeSeconds * 1000, cluster.endsAt);
  await requireChainOpen(tx);
  const holdTransferId = await hold(ctx, tx, {
    clusterId: cluster.id,
    ownerId: cluster.id,
    amountMicroUsdc: total,
    timeoutMs: expiresAt,
    reference: id,
  });
  const [payment] = await tx
    .insert(payments)
    .values({
      id,
      clusterId: cluster.id,
      customerId: cluster.customerId,
      purpose: "extend",
      rail: "solana_pay",
      status: "pending",
      amountMicroUsdc: total,
      holdTransferId,
      recipient: ctx.settings.treasuryAddress,
      mint: ctx.settings.usdcMint,
      reference: newReference(ctx.random),
      commitment: commitmentFor(total, ctx.settings),
      extensionSeconds: seconds,
      expiresAt,
      createdAt: nowMs,
    })
    .returning();
  if (payment === undefined) throw new Error("the payment's row was not written");
  await wake(tx, "payment", id, nowMs);
  return payment;
}
