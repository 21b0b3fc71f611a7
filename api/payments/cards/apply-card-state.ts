import { and, eq, sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { rows, type Transaction } from "../../db/database.ts";
import { cardPayments, payments } from "../../db/tables.ts";
import { CARD_ACCOUNT, customerAccount, disputeAccount, LOSS_ACCOUNT, openAccount } from "../../ledger/accounts.ts";
import { balanceOf } from "../../ledger/balance-of.ts";
import { post } from "../../ledger/post.ts";
import type { CardState } from "../../ports/card-processor.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { CARD_CURRENCY, fromMinor } from "./card-amount.ts";
import { freezeForCards } from "./freeze-for-cards.ts";
import { type CardPositions, moveCardMoney } from "./move-card-money.ts";

export type CardRow = typeof cardPayments.$inferSelect;

/**
 * Brings the books to what the processor says of a payment: credit once it is paid, reversing entries for what was
 * taken back, and the account's freeze. Level by level and never event by event, so neither their order nor how often
 * they come matters.
 *
 * @param seen the row as it was before the processor was asked
 * @returns the row as it is now; null when another step has changed it since: then nothing is done
 */
export async function applyCardState(ctx: Context, seen: CardRow, state: CardState): Promise<CardRow | null> {
  return await ctx.db.transaction(async (tx) => {
    const [payment] = await tx.select().from(payments).where(eq(payments.id, seen.paymentId)).for("no key update");
    if (payment === undefined) throw new Error(`card payment ${seen.sessionId} has no payment`);
    const isSeen = and(eq(cardPayments.sessionId, seen.sessionId), eq(cardPayments.revision, seen.revision));
    const [card] = await tx.select().from(cardPayments).where(isSeen);
    if (card === undefined) return null;

    const next = state.paid ? await paid(ctx, tx, payment, card, state) : await unpaid(tx, payment, card, state);
    if (isSame(card, next)) return card;
    const [updated] = await tx
      .update(cardPayments)
      .set({ ...next, revision: card.revision + 1 })
      .where(isSeen)
      .returning();
    if (updated === undefined) throw new Error(`card payment ${seen.sessionId} changed under its lock`);
    if (payment.customerId !== null) await freezeForCards(ctx, tx, payment.customerId);
    return updated;
  });
}

function isSame(card: CardRow, next: CardRow): boolean {
  return (Object.keys(next) as (keyof CardRow)[]).every((name) => card[name] === next[name]);
}

async function unpaid(tx: Transaction, payment: PaymentRow, card: CardRow, state: CardState): Promise<CardRow> {
  if (card.status !== "open") return card;
  const over = state.status === "expired" || state.failed;
  const status = over ? "expired" : state.status === "complete" ? "detected" : payment.status;
  if (status !== payment.status) await tx.update(payments).set({ status }).where(eq(payments.id, payment.id));
  return over ? { ...card, status: "failed" } : card;
}

async function paid(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  card: CardRow,
  state: CardState,
): Promise<CardRow> {
  const { id, customerId, amountMicroUsdc: amount } = payment;
  if (customerId === null) throw new Error(`card payment ${id} belongs to nobody`);
  checkMoney(payment, state);
  const nowMs = ctx.clock.nowMs();
  const availableAt = card.availableAt ?? nowMs + ctx.settings.cardHoldSeconds * 1000;
  await lockAccounts(ctx, tx, id, customerId);
  const { moves, positions } = moveCardMoney({
    paymentId: id,
    customerId,
    amount,
    positions: card.status === "paid" ? positionsOf(card) : null,
    gone: fromMinor(state.refundedMinor + state.lostMinor),
    disputed: fromMinor(state.contestedMinor),
    available: (await balanceOf(tx, customerAccount(customerId))).availableMicroUsdc,
    mature: nowMs >= availableAt,
  });
  for (const move of moves) {
    const moved = await post(ctx, tx, { ...move, reference: `${id}:${card.revision}` });
    if (!moved) throw new Error(`the ledger has revision ${card.revision} of ${id} although its row is older`);
  }
  // A refund that fails makes it settled again.
  const status = positions.reversed === amount ? "refunded" : "settled";
  const settled = { status, receivedMicroUsdc: amount, settledAt: payment.settledAt ?? nowMs } as const;
  if (payment.status !== status) await tx.update(payments).set(settled).where(eq(payments.id, id));
  return {
    ...card,
    status: "paid",
    availableAt,
    paymentIntent: state.paymentIntent,
    disputeStatus: state.disputeStatus,
    maturingMicroUsdc: positions.maturing,
    contestedMicroUsdc: positions.contested,
    reversedMicroUsdc: positions.reversed,
    lossMicroUsdc: positions.loss,
  };
}

function positionsOf(card: CardRow): CardPositions {
  const { maturingMicroUsdc, contestedMicroUsdc, reversedMicroUsdc, lossMicroUsdc } = card;
  return {
    maturing: maturingMicroUsdc,
    contested: contestedMicroUsdc,
    reversed: reversedMicroUsdc,
    loss: lossMicroUsdc,
  };
}

/** Whatever the processor took, only what we had asked for is credited. */
function checkMoney(payment: PaymentRow, state: CardState): void {
  const { paymentId, currency, amountMinor } = state;
  if (paymentId === payment.id && currency === CARD_CURRENCY && fromMinor(amountMinor) === payment.amountMicroUsdc)
    return;
  throw new Error(
    `session ${state.sessionId} is of ${paymentId} over ${amountMinor} ${currency} cents, not of ${payment.id} ` +
      `over ${payment.amountMicroUsdc} micro-USDC; nothing is credited`,
  );
}

/** In order of their ids, before the balance is read that decides what is taken from where. */
async function lockAccounts(ctx: Context, tx: Transaction, paymentId: string, customerId: string): Promise<void> {
  await openAccount(ctx, tx, CARD_ACCOUNT, "card");
  await openAccount(ctx, tx, LOSS_ACCOUNT, "loss");
  await openAccount(ctx, tx, customerAccount(paymentId), "customer");
  await openAccount(ctx, tx, customerAccount(customerId), "customer");
  await openAccount(ctx, tx, disputeAccount(customerId), "dispute");
  const ids = [customerAccount(paymentId), customerAccount(customerId), disputeAccount(customerId)];
  await rows(tx, sql`SELECT id FROM accounts WHERE id IN ${ids} ORDER BY id FOR NO KEY UPDATE`);
}
