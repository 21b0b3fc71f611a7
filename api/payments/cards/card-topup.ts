import { formatUsdc, type Payment, VolleyError } from "@volley/schema";
import { eq, sql } from "drizzle-orm";
import { type Context, newId } from "../../context.ts";
import { rows, type Transaction, wake } from "../../db/database.ts";
import { payments } from "../../db/tables.ts";
import { CardError, type CardProcessor } from "../../ports/card-processor.ts";
import { loadPaymentResources } from "../load-payments.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { isWholeMinor } from "./card-amount.ts";
import { openCheckout } from "./open-checkout.ts";

/** Processors keep a page open for half an hour at least. */
const CHECKOUT_MS = 3_600_000;
const AMOUNT_MICRO_USDC_MIN = 1_000_000n;

/**
 * Opens the page of a top-up, unless that was done before, and shows it. The payment was written first, so that a
 * crash at any moment leaves one that a repeated request, or its task, finds the page of.
 * @throws {VolleyError} `rail_unavailable`, `unavailable`
 */
export async function showCheckout(ctx: Context, paymentId: string): Promise<Payment> {
  const cards = requireCards(ctx);
  ctx.hints.notify("tasks");
  const payment = await loadPayment(ctx, paymentId);
  const isDue = payment.checkoutUrl === null && payment.status === "pending";
  if (isDue) await open(ctx, cards, payment);
  const [resource] = await loadPaymentResources(ctx, [isDue ? await loadPayment(ctx, paymentId) : payment]);
  if (resource === undefined) throw new Error(`payment ${paymentId} is gone`);
  return resource;
}

function requireCards({ cards }: Context): CardProcessor {
  if (cards !== null) return cards;
  throw new VolleyError("rail_unavailable", "Cards are not taken here.", {
    nextAction: "Top up with the rail solana_pay.",
  });
}

async function loadPayment(ctx: Context, id: string): Promise<PaymentRow> {
  const [payment] = await ctx.db.select().from(payments).where(eq(payments.id, id));
  if (payment === undefined) throw new Error(`payment ${id} is gone`);
  return payment;
}

async function open(ctx: Context, cards: CardProcessor, payment: PaymentRow): Promise<void> {
  try {
    await openCheckout(ctx, cards, payment);
  } catch (error) {
    if (!(error instanceof CardError)) throw error;
    ctx.logger.error("the card processor opened no page", { payment_id: payment.id, error });
    throw new VolleyError("unavailable", "The card processor doesn't answer as it should; nothing was charged.", {
      nextAction: "Repeat the request with the same Idempotency-Key, or top up with the rail solana_pay.",
      retryAfterSeconds: 5,
      cause: error,
    });
  }
}

/**
 * A top-up that is to be paid on the card processor's page, which `showCheckout` opens outside the transaction. The
 * caller holds the lock of the account's row.
 * @throws {VolleyError} `rail_unavailable`, `amount_out_of_range`
 */
export async function insertCardTopup(
  ctx: Context,
  tx: Transaction,
  customerId: string,
  amountMicroUsdc: bigint,
): Promise<PaymentRow> {
  requireCards(ctx);
  if (amountMicroUsdc < AMOUNT_MICRO_USDC_MIN || !isWholeMinor(amountMicroUsdc)) {
    throw new VolleyError("amount_out_of_range", "A card is charged 1.00 USDC or more, in whole cents.", {
      nextAction: 'Ask for an amount such as "25.00".',
    });
  }
  const left = ctx.settings.cardMaxMicroUsdc - (await atStake(tx, customerId));
  if (amountMicroUsdc > left) {
    throw new VolleyError(
      "amount_out_of_range",
      `Cards can still bring ${formatUsdc(left > 0n ? left : 0n)} USDC to this account; the rest is open or maturing.`,
      { nextAction: "Ask for less, wait until earlier card payments can be spent, or use the rail solana_pay." },
    );
  }
  const nowMs = ctx.clock.nowMs();
  const [payment] = await tx
    .insert(payments)
    .values({
      id: newId(ctx, "payment"),
      customerId,
      purpose: "topup",
      rail: "stripe",
      status: "pending",
      amountMicroUsdc,
      commitment: "finalized",
      expiresAt: nowMs + CHECKOUT_MS,
      createdAt: nowMs,
    })
    .returning();
  if (payment === undefined) throw new Error("the payment's row was not written");
  await wake(tx, "card", payment.id, nowMs);
  return payment;
}

/** What the account may yet pay, or has paid and may yet be taken back before it can spend it. */
async function atStake(tx: Transaction, customerId: string): Promise<bigint> {
  const [sum] = await rows<{ at_stake: string }>(
    tx,
    sql`SELECT coalesce(sum(CASE WHEN p.status IN ('pending', 'detected') THEN p.amount_micro_usdc
                                 ELSE coalesce(c.maturing_micro_usdc + c.contested_micro_usdc, 0) END), 0)::text AS at_stake
        FROM payments AS p LEFT JOIN card_payments AS c ON c.payment_id = p.id
        WHERE p.customer_id = ${customerId} AND p.rail = 'stripe'`,
  );
  return BigInt(sum?.at_stake ?? 0);
}
