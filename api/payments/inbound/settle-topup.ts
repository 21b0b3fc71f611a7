import { toMoney } from "@volley/schema/money";
import { eq, sql } from "drizzle-orm";
import { type Context, newId } from "../../context.ts";
import { rows, type Transaction } from "../../db/database.ts";
import { payments } from "../../db/tables.ts";
import { customerAccount, openAccount } from "../../ledger/accounts.ts";
import { balanceOf } from "../../ledger/balance-of.ts";
import { post } from "../../ledger/post.ts";
import { wakeCardsOf } from "../cards/wake-cards.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { commitmentFor } from "./commitment-for.ts";
import { addNotice } from "./notices.ts";

/**
 * Moves what has come for a top-up into the account's balance as soon as it is final enough, whatever the amount and
 * however late: the payer is known. Until then it stands in an account of the payment's own, where nobody can spend
 * it. The caller holds the payment's row.
 *
 * @param signature of the transaction that has changed something
 */
export async function settleTopup(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  signature: string,
): Promise<void> {
  if (payment.customerId === null) throw new Error(`top-up ${payment.id} belongs to nobody`);
  const arriving = customerAccount(payment.id);
  const balance = customerAccount(payment.customerId);
  const { arrived, counted } = await sumsOf(ctx, tx, payment);
  const { availableMicroUsdc } = await balanceOf(tx, arriving);
  const due = availableMicroUsdc - (arrived - counted);
  if (due > 0n) {
    await openAccount(ctx, tx, balance, "customer");
    // What is moved once is not there to be moved again: the cause needs no name of its own.
    const cause = { reason: "topup", reference: `${payment.id}:${newId(ctx, "transfer")}` };
    await post(ctx, tx, { debit: arriving, credit: balance, amountMicroUsdc: due, ...cause });
    await wakeCardsOf(tx, payment.customerId, ctx.clock.nowMs());
  }
  await note(ctx, tx, payment, arrived, counted, signature);
}

/** All that has come, late or not, and how much of it is final enough: what comes may be far more than was asked for. */
async function sumsOf(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
): Promise<{ arrived: bigint; counted: bigint }> {
  const [sums] = await rows<{ arrived: string; final: string }>(
    tx,
    sql`SELECT coalesce(sum(amount_micro_usdc), 0)::text AS arrived,
               coalesce(sum(amount_micro_usdc) FILTER (WHERE finality = 'finalized'), 0)::text AS final
        FROM inbound_transfers WHERE payment_id = ${payment.id} AND finality <> 'dropped'`,
  );
  const arrived = BigInt(sums?.arrived ?? 0);
  const final = BigInt(sums?.final ?? 0);
  const isEnough = payment.commitment === "confirmed" && commitmentFor(arrived - final, ctx.settings) === "confirmed";
  return { arrived, counted: isEnough ? arrived : final };
}

async function note(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  arrived: bigint,
  counted: bigint,
  signature: string,
): Promise<void> {
  const { id, amountMicroUsdc, status } = payment;
  if (counted >= amountMicroUsdc && status !== "settled") {
    await tx.update(payments).set({ status: "settled", settledAt: ctx.clock.nowMs() }).where(eq(payments.id, id));
  } else if (status === "pending" && arrived > 0n) {
    await tx.update(payments).set({ status: "detected" }).where(eq(payments.id, id));
  }
  const surplus = arrived - amountMicroUsdc;
  if (surplus > 0n) {
    const detail = `${toMoney(surplus).amount} USDC more than was asked for have come; they are in the balance too.`;
    await addNotice(ctx, tx, { paymentId: id, code: "overpaid", signature, detail });
  } else if (status === "expired") {
    const detail = "USDC came after the payment had expired; they are in the balance all the same.";
    await addNotice(ctx, tx, { paymentId: id, code: "late", signature, detail });
  }
}
