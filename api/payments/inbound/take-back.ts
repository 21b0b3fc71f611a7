/** Where the money of a payment that a fork took away may still be, before it counts as lost. */
import { parseUsdc, toMoney } from "@volley/schema/money";
import { and, desc, eq } from "drizzle-orm";
import { type Context, newId } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { clusters, refunds } from "../../db/tables.ts";
import { customerAccount } from "../../ledger/accounts.ts";
import { balanceOf } from "../../ledger/balance-of.ts";
import { post } from "../../ledger/post.ts";
import { smaller } from "../../ledger/smaller.ts";
import type { RestOwner } from "../refunds/refund-rest.ts";
import { returnToCredit } from "../refunds/return-to-credit.ts";

/** Refunds that haven't been signed yet, as none is before the cluster's money is final, become credit again. */
export async function takeBackRefunds(ctx: Context, tx: Transaction, clusterId: string): Promise<void> {
  const pending = await tx
    .select()
    .from(refunds)
    .where(and(eq(refunds.clusterId, clusterId), eq(refunds.status, "pending")))
    .orderBy(refunds.id)
    .for("update");
  for (const refund of pending) await returnToCredit(ctx, tx, refund);
}

/**
 * What the account's balance can give of an amount: what is free, and what was about to leave it unsigned, the newest
 * first, because a refund of money that never came would be sent from everybody else's.
 */
export async function recoverableOf(
  ctx: Context,
  tx: Transaction,
  customerId: string,
  amountMicroUsdc: bigint,
): Promise<bigint> {
  const available = async () => (await balanceOf(tx, customerAccount(customerId))).availableMicroUsdc;
  if ((await available()) < amountMicroUsdc) {
    const pending = await tx
      .select()
      .from(refunds)
      .where(and(eq(refunds.customerId, customerId), eq(refunds.status, "pending")))
      .orderBy(desc(refunds.createdAt), desc(refunds.id))
      .for("update");
    for (const refund of pending) {
      if ((await available()) >= amountMicroUsdc) break;
      await returnToCredit(ctx, tx, refund);
    }
  }
  return smaller(amountMicroUsdc, await available());
}

/** What the cluster had left over for its account's balance is the cluster's again, and its bill says so. */
export async function takeBackRest(
  ctx: Context,
  tx: Transaction,
  { id, customerId, bill }: RestOwner,
  missingMicroUsdc: bigint,
): Promise<void> {
  if (customerId === null || bill === null || bill.refund.to !== "balance") return;
  const moved = parseUsdc(bill.refund.amount.amount);
  const taken = await recoverableOf(ctx, tx, customerId, smaller(missingMicroUsdc, moved));
  if (taken <= 0n) return;
  await post(ctx, tx, {
    debit: customerAccount(customerId),
    credit: customerAccount(id),
    amountMicroUsdc: taken,
    reason: "rest_withdrawn",
    reference: `${id}:${newId(ctx, "transfer")}`,
  });
  const refund = { ...bill.refund, amount: toMoney(moved - taken) };
  await tx
    .update(clusters)
    .set({ bill: { ...bill, refund } })
    .where(eq(clusters.id, id));
}
