import { toMoney } from "@volley/schema/money";
import type { Bill } from "@volley/schema/resources/cluster";
import { type Context, newId } from "../../context.ts";
import { type Transaction, wake } from "../../db/database.ts";
import { refunds } from "../../db/tables.ts";
import { appendEvent } from "../../events/append.ts";
import { customerAccount, openAccount, refundAccount } from "../../ledger/accounts.ts";
import { post } from "../../ledger/post.ts";
import { availableCredit } from "../available-credit.ts";

export type RefundRow = typeof refunds.$inferSelect;

/**
 * Sends the cluster's whole credit to the address that its renter set, or leaves it as credit where none was set.
 * The caller holds the cluster's row.
 * @returns the refund's part of the cluster's bill
 */
export async function refundRest(
  ctx: Context,
  tx: Transaction,
  cluster: { readonly id: string; readonly refundAddress: string | null },
): Promise<Bill["refund"]> {
  if (cluster.refundAddress !== null) {
    const refund = await refundCredit(ctx, tx, cluster.id, cluster.refundAddress);
    if (refund !== null) return toBillRefund(refund);
  }
  const amount = toMoney(await availableCredit(tx, cluster.id));
  return { id: null, amount, to: "credit", status: "credited", signature: null };
}

/**
 * Begins a refund of the cluster's whole credit: from here the money is in flight, and a task carries it out.
 * The caller holds the cluster's row and has checked the address. Null when there is nothing to refund.
 */
export async function refundCredit(
  ctx: Context,
  tx: Transaction,
  clusterId: string,
  toAddress: string,
): Promise<RefundRow | null> {
  const amountMicroUsdc = await availableCredit(tx, clusterId);
  if (amountMicroUsdc === 0n) return null;
  const nowMs = ctx.clock.nowMs();
  const id = newId(ctx, "refund");
  const [refund] = await tx
    .insert(refunds)
    .values({ id, clusterId, toAddress, amountMicroUsdc, status: "pending", createdAt: nowMs })
    .returning();
  if (refund === undefined) throw new Error("the refund's row was not written");
  const credit = refundAccount(id);
  await openAccount(ctx, tx, credit, "refund");
  await post(ctx, tx, { debit: customerAccount(clusterId), credit, amountMicroUsdc, reason: "refund", reference: id });
  await appendEvent(ctx, tx, clusterId, "refund.created", {
    refund_id: id,
    amount: toMoney(amountMicroUsdc),
    to: toAddress,
  });
  await wake(tx, "refund", id, nowMs);
  return refund;
}

export function toBillRefund(refund: RefundRow): Bill["refund"] {
  const { id, amountMicroUsdc, toAddress, status, signature } = refund;
  return { id, amount: toMoney(amountMicroUsdc), to: toAddress, status, signature };
}
