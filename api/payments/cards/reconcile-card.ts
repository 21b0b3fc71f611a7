import { isId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { wake } from "../../db/database.ts";
import { cardPayments, payments } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import type { CardProcessor } from "../../ports/card-processor.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { applyCardState, type CardRow } from "./apply-card-state.ts";
import { CARD_WATCH_MS } from "./compare-cards.ts";
import { openCheckout } from "./open-checkout.ts";

const OPEN_LOOK_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/**
 * One step for one card payment: asks the processor how it stands, and brings the books there. Webhooks only make it
 * due earlier; without a single one it would all happen too, later.
 * @param id of the payment, or the processor's id of one that we don't know yet
 */
export async function reconcileCard(ctx: Context, id: string): Promise<TaskOutcome> {
  const { cards, clock } = ctx;
  const nowMs = clock.nowMs();
  if (cards === null) return { dueAtMs: nowMs + HOUR_MS };
  if (!isId("payment", id)) return await findPayment(ctx, cards, id);
  const [payment] = await ctx.db.select().from(payments).where(eq(payments.id, id));
  if (payment?.rail !== "stripe") return "done";
  const [card] = await ctx.db.select().from(cardPayments).where(eq(cardPayments.paymentId, id));
  if (card === undefined) return await openOrGiveUp(ctx, cards, payment);

  const isOverdue = card.status === "open" && payment.status === "pending" && nowMs >= payment.expiresAt;
  const state = isOverdue ? await cards.expire(card.sessionId) : await cards.read(card.sessionId);
  const applied = await applyCardState(ctx, card, state);
  return applied === null ? { dueAtMs: nowMs } : nextLook(applied, payment, nowMs);
}

/** A refund or a dispute may be told of before the payment itself. Most that are not ours belong to other shops. */
async function findPayment(ctx: Context, cards: CardProcessor, paymentIntent: string): Promise<TaskOutcome> {
  const paymentId = await cards.paymentOf(paymentIntent);
  if (paymentId !== null && isId("payment", paymentId)) {
    await wake(ctx.db, "card", paymentId, ctx.clock.nowMs());
    ctx.hints.notify("tasks");
  }
  return "done";
}

/** Whoever asked for it may have crashed before the page was opened. Nobody has seen the page of a row without one. */
async function openOrGiveUp(ctx: Context, cards: CardProcessor, payment: PaymentRow): Promise<TaskOutcome> {
  const nowMs = ctx.clock.nowMs();
  if (nowMs < payment.expiresAt) {
    await openCheckout(ctx, cards, payment);
    return { dueAtMs: nowMs + OPEN_LOOK_MS };
  }
  await ctx.db.update(payments).set({ status: "expired" }).where(eq(payments.id, payment.id));
  return "done";
}

function nextLook(card: CardRow, payment: PaymentRow, nowMs: number): TaskOutcome {
  if (card.status === "failed") return "done";
  if (card.status === "open") {
    if (nowMs >= payment.expiresAt) return { dueAtMs: nowMs + HOUR_MS };
    return { dueAtMs: Math.min(nowMs + OPEN_LOOK_MS, payment.expiresAt) };
  }
  const { availableAt, maturingMicroUsdc, contestedMicroUsdc, lossMicroUsdc } = card;
  if (maturingMicroUsdc > 0n) return { dueAtMs: Math.min(nowMs + DAY_MS, Math.max(availableAt ?? nowMs, nowMs)) };
  const unfinished = contestedMicroUsdc > 0n || lossMicroUsdc > 0n;
  return unfinished || nowMs < payment.createdAt + CARD_WATCH_MS ? { dueAtMs: nowMs + DAY_MS } : "done";
}
