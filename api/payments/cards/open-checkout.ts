import { and, eq, isNull } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { cardPayments, payments } from "../../db/tables.ts";
import type { CardProcessor } from "../../ports/card-processor.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { CARD_CURRENCY, toMinor } from "./card-amount.ts";

/**
 * Has the processor open the page on which the payment is made, and writes down where it is. Repeated, or done by two
 * at once, it is one page: the processor knows it by the payment's id.
 * @throws {CardError}
 */
export async function openCheckout(ctx: Context, cards: CardProcessor, payment: PaymentRow): Promise<void> {
  const { id, amountMicroUsdc, expiresAt } = payment;
  const amountMinor = toMinor(amountMicroUsdc);
  const returnUrl = new URL(`/pay/${id}`, ctx.settings.publicUrl).href;
  const { sessionId, url } = await cards.open({ paymentId: id, amountMinor, expiresAtMs: expiresAt, returnUrl });
  await ctx.db.transaction(async (tx) => {
    await tx
      .insert(cardPayments)
      .values({
        sessionId,
        paymentId: id,
        amountMinor,
        currency: CARD_CURRENCY,
        status: "open",
        createdAt: ctx.clock.nowMs(),
      })
      .onConflictDoNothing();
    await tx
      .update(payments)
      .set({ checkoutUrl: url })
      .where(and(eq(payments.id, id), isNull(payments.checkoutUrl)));
  });
}
