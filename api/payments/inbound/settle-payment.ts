import { formatUsdc, toMoney } from "@volley/schema/money";
import { and, eq, sql } from "drizzle-orm";
import { applyExtension } from "../../clusters/apply-extension.ts";
import type { ClusterRow } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import { rows, type Transaction, wake } from "../../db/database.ts";
import { clusters, inboundTransfers, payments } from "../../db/tables.ts";
import { appendEvent } from "../../events/append.ts";
import { fund } from "../../ledger/fund.ts";
import { resolve } from "../../ledger/resolve.ts";
import type { ClusterPaymentRow, PaymentRow } from "../to-payment-resource.ts";
import { addNotice } from "./notices.ts";
import { appendPaymentEvent } from "./payment-event.ts";

/**
 * Compares what has come in time for an open payment with what is due, and settles it when it is enough and final
 * enough: funds its hold and lets begin what was paid for. The caller holds the rows of the cluster and the payment.
 *
 * @param signature of the transaction that has changed something
 */
export async function settlePayment(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow,
  payment: ClusterPaymentRow,
  signature: string,
): Promise<void> {
  const { arrived, counted } = await sumInTime(tx, payment);
  if (counted < payment.amountMicroUsdc) {
    await noteArrival(ctx, tx, payment, arrived, signature);
    return;
  }
  const nowMs = ctx.clock.nowMs();
  const begins =
    payment.purpose === "extend"
      ? await applyExtension(ctx, tx, cluster, payment)
      : cluster.status === "awaiting_payment";
  if (!begins) {
    await giveUp(ctx, tx, payment);
    return;
  }
  await fund(ctx, tx, payment.holdTransferId);
  await tx.update(payments).set({ status: "settled", settledAt: nowMs }).where(eq(payments.id, payment.id));
  await appendEvent(ctx, tx, cluster.id, "payment.settled", {
    payment_id: payment.id,
    amount: toMoney(payment.amountMicroUsdc),
    received: toMoney(payment.receivedMicroUsdc),
  });
  if (payment.purpose === "reserve") {
    await tx.update(clusters).set({ status: "provisioning", paidAt: nowMs }).where(eq(clusters.id, cluster.id));
    await appendEvent(ctx, tx, cluster.id, "cluster.paid", { payment_id: payment.id });
    await wake(tx, "cluster", cluster.id, nowMs);
  }
  const surplus = arrived - payment.amountMicroUsdc;
  if (surplus > 0n) await noteSurplus(ctx, tx, payment, surplus, signature);
}

/** What has come in time, and how much of it is final enough for this payment. */
export async function sumInTime(tx: Transaction, payment: PaymentRow): Promise<{ arrived: bigint; counted: bigint }> {
  const [sums] = await rows<{ arrived: string; counted: string }>(
    tx,
    sql`SELECT coalesce(sum(amount_micro_usdc), 0)::text AS arrived,
               coalesce(sum(amount_micro_usdc) FILTER (
                 WHERE finality = 'finalized' OR ${payment.commitment} = 'confirmed'), 0)::text AS counted
        FROM inbound_transfers
        WHERE payment_id = ${payment.id} AND finality <> 'dropped' AND NOT late`,
  );
  return { arrived: BigInt(sums?.arrived ?? 0), counted: BigInt(sums?.counted ?? 0) };
}

export async function noteArrival(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  arrived: bigint,
  signature: string,
): Promise<void> {
  if (arrived === 0n) return;
  const data = { payment_id: payment.id, received: toMoney(arrived), signature };
  if (payment.status === "pending") {
    await tx.update(payments).set({ status: "detected" }).where(eq(payments.id, payment.id));
    await appendPaymentEvent(ctx, tx, payment, "payment.detected", data);
  }
  const missing = payment.amountMicroUsdc - arrived;
  if (missing <= 0n) return;
  const detail = `${formatUsdc(missing)} USDC are still due until the payment expires.`;
  if (await addNotice(ctx, tx, { paymentId: payment.id, code: "underpaid", signature, detail })) {
    await appendPaymentEvent(ctx, tx, payment, "payment.underpaid", { ...data, missing: toMoney(missing) });
  }
}

/** Tells of money beyond what was due: it is credit. */
export async function noteSurplus(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  surplusMicroUsdc: bigint,
  signature: string,
): Promise<void> {
  const detail = `${formatUsdc(surplusMicroUsdc)} USDC more than was due have come; they are credit.`;
  if (await addNotice(ctx, tx, { paymentId: payment.id, code: "overpaid", signature, detail })) {
    await appendPaymentEvent(ctx, tx, payment, "payment.overpaid", {
      payment_id: payment.id,
      surplus: toMoney(surplusMicroUsdc),
      signature,
    });
  }
}

/** What it would have paid for can't begin any more: the payment is over, and its money is credit. */
async function giveUp(ctx: Context, tx: Transaction, payment: ClusterPaymentRow): Promise<void> {
  await resolve(ctx, tx, payment.holdTransferId, 0n);
  await tx.update(payments).set({ status: "expired" }).where(eq(payments.id, payment.id));
  const late = await tx
    .update(inboundTransfers)
    .set({ late: true })
    .where(and(eq(inboundTransfers.paymentId, payment.id), eq(inboundTransfers.late, false)))
    .returning({ signature: inboundTransfers.signature, amount: inboundTransfers.amountMicroUsdc });
  for (const { signature, amount } of late) await noteLate(ctx, tx, payment, amount, signature);
}

/** Tells of money that came too late: it is credit. */
export async function noteLate(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  amountMicroUsdc: bigint,
  signature: string,
): Promise<void> {
  const detail = `${formatUsdc(amountMicroUsdc)} USDC came after the payment had expired; they are credit.`;
  if (await addNotice(ctx, tx, { paymentId: payment.id, code: "late", signature, detail })) {
    await appendPaymentEvent(ctx, tx, payment, "payment.late", {
      payment_id: payment.id,
      amount: toMoney(amountMicroUsdc),
      signature,
    });
  }
}
