import { toMoney } from "@volley/schema/money";
import { and, eq, inArray } from "drizzle-orm";
import { endCluster, notifyEnded } from "../../clusters/end-cluster.ts";
import { lockCluster } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { inboundTransfers, payments } from "../../db/tables.ts";
import { appendEvent } from "../../events/append.ts";
import {
  CHAIN_ACCOUNT,
  customerAccount,
  LOSS_ACCOUNT,
  openAccount,
  UNALLOCATED_ACCOUNT,
} from "../../ledger/accounts.ts";
import { balanceOf } from "../../ledger/balance-of.ts";
import { openHoldsOf } from "../../ledger/holds-of.ts";
import { post } from "../../ledger/post.ts";
import { resolve } from "../../ledger/resolve.ts";
import { smaller } from "../../ledger/smaller.ts";
import { refundAgain } from "../refunds/refund-again.ts";
import { type ClusterPaymentRow, isForCluster, type PaymentRow } from "../to-payment-resource.ts";
import { type InboundRow, inboundReference } from "./inbound-reference.ts";
import { recoverableOf, takeBackRefunds, takeBackRest } from "./take-back.ts";

/**
 * A transfer that had been seen at `confirmed` vanished with its fork: its ledger transfer is reversed. What it paid
 * for ends at once and costs nothing; what can't be got back from the cluster's account any more is the platform's
 * loss. Should the transaction land again, it counts anew, less that loss.
 */
export async function dropInbound(ctx: Context, row: InboundRow): Promise<void> {
  const ended = await ctx.db.transaction(async (tx) => {
    const payment = await lockPayment(tx, row.paymentId);
    const isThis = and(
      eq(inboundTransfers.signature, row.signature),
      eq(inboundTransfers.transferIndex, row.transferIndex),
    );
    const [known] = await tx.select().from(inboundTransfers).where(isThis).for("update");
    if (known?.finality !== "confirmed") return null;
    const reference = await inboundReference(tx, row.signature, row.transferIndex);
    await tx.update(inboundTransfers).set({ finality: "dropped", missingSinceSlot: null }).where(isThis);
    if (payment === null) {
      await reverse(ctx, tx, UNALLOCATED_ACCOUNT, row.amountMicroUsdc, reference);
      return null;
    }
    await tx
      .update(payments)
      .set({ receivedMicroUsdc: payment.receivedMicroUsdc - row.amountMicroUsdc })
      .where(eq(payments.id, payment.id));
    if (isForCluster(payment)) return await dropFromCluster(ctx, tx, payment, row, reference);
    await dropFromTopup(ctx, tx, payment, row.amountMicroUsdc, reference);
    return null;
  });
  ctx.metrics.count("volley_chain_dropped_transfers_total");
  ctx.logger.error("a confirmed transfer vanished from the chain and was reversed", {
    signature: row.signature,
    payment_id: row.paymentId,
    amount_micro_usdc: row.amountMicroUsdc.toString(),
  });
  if (ended !== null) notifyEnded(ctx, ended.clusterId, ended.nodeIds);
}

async function lockPayment(tx: Transaction, id: string | null): Promise<PaymentRow | null> {
  if (id === null) return null;
  const [found] = await tx.select({ clusterId: payments.clusterId }).from(payments).where(eq(payments.id, id));
  if (found !== undefined && found.clusterId !== null) await lockCluster(tx, found.clusterId);
  const [payment] = await tx.select().from(payments).where(eq(payments.id, id)).for("no key update");
  return payment ?? null;
}

/** What was not spent comes out of the payment's own account or the balance; the rest is the platform's loss. */
async function dropFromTopup(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  amountMicroUsdc: bigint,
  reference: string,
): Promise<void> {
  const { id, customerId } = payment;
  if (customerId === null) throw new Error(`top-up ${id} belongs to nobody`);
  const arrived = customerAccount(id);
  const unspent = smaller(amountMicroUsdc, (await balanceOf(tx, arrived)).availableMicroUsdc);
  await reverse(ctx, tx, arrived, unspent, reference);
  const recovered = await recoverableOf(ctx, tx, customerId, amountMicroUsdc - unspent);
  await reverse(ctx, tx, customerAccount(customerId), recovered, reference);
  await reverse(ctx, tx, LOSS_ACCOUNT, amountMicroUsdc - unspent - recovered, reference);
  if (payment.status === "settled") {
    await tx.update(payments).set({ status: "detected", settledAt: null }).where(eq(payments.id, payment.id));
  }
}

async function dropFromCluster(
  ctx: Context,
  tx: Transaction,
  payment: ClusterPaymentRow,
  row: InboundRow,
  reference: string,
): Promise<{ clusterId: string; nodeIds: string[] } | null> {
  const { clusterId } = payment;
  const receivedMicroUsdc = payment.receivedMicroUsdc - row.amountMicroUsdc;
  await appendEvent(ctx, tx, clusterId, "payment.rejected", {
    payment_id: payment.id,
    signature: row.signature,
    amount: toMoney(row.amountMicroUsdc),
    detail: "The transaction was seen, and then vanished from the chain.",
  });
  const cluster = await lockCluster(tx, clusterId);
  const unpaid = payment.status === "settled" && receivedMicroUsdc < payment.amountMicroUsdc;
  const running = cluster?.status === "provisioning" || cluster?.status === "running";
  if (unpaid && running) {
    for (const hold of await openHoldsOf(tx, clusterId)) await resolve(ctx, tx, hold.id, 0n);
    await tx
      .update(payments)
      .set({ status: "expired" })
      .where(and(eq(payments.clusterId, clusterId), inArray(payments.status, ["pending", "detected"])));
    await tx.update(payments).set({ status: "expired", settledAt: null }).where(eq(payments.id, payment.id));
  }
  const available = async () => (await balanceOf(tx, customerAccount(clusterId))).availableMicroUsdc;
  if ((await available()) < row.amountMicroUsdc) await takeBackRefunds(ctx, tx, clusterId);
  const missing = row.amountMicroUsdc - (await available());
  if (cluster !== null && missing > 0n) await takeBackRest(ctx, tx, cluster, missing);
  const recovered = smaller(await available(), row.amountMicroUsdc);
  await reverse(ctx, tx, customerAccount(clusterId), recovered, reference);
  await reverse(ctx, tx, LOSS_ACCOUNT, row.amountMicroUsdc - recovered, reference);
  if (unpaid && running) {
    // Metering that ends where it began: nothing is charged for what wasn't paid.
    const meteredUntilMs = cluster.readyAt ?? ctx.clock.nowMs();
    const { nodeIds } = await endCluster(ctx, tx, cluster, { status: "stopping", reason: "unpaid", meteredUntilMs });
    return { clusterId, nodeIds };
  }
  const now = await lockCluster(tx, clusterId);
  if (now !== null) await refundAgain(ctx, tx, now);
  return null;
}

async function reverse(ctx: Context, tx: Transaction, debit: string, amount: bigint, reference: string): Promise<void> {
  if (amount === 0n) return;
  if (debit === LOSS_ACCOUNT) await openAccount(ctx, tx, LOSS_ACCOUNT, "loss");
  const posting = { debit, credit: CHAIN_ACCOUNT, amountMicroUsdc: amount, reason: "inbound_dropped", reference };
  await post(ctx, tx, posting);
}
