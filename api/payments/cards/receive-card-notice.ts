import { VolleyError } from "@volley/schema/errors";
import { isId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import type { Services } from "../../context.ts";
import { type Transaction, wake } from "../../db/database.ts";
import { cardEvents, cardPayments, payments } from "../../db/tables.ts";
import { CardError, type CardNotice, type CardProcessor } from "../../ports/card-processor.ts";

/**
 * Takes what the card processor sends us. A notice is believed to be theirs by its signature, written down once, and
 * has the payment looked at; what it says of money is not read, because notices come late, twice and in any order.
 * @throws {VolleyError} `rail_unavailable`, `webhook_signature_invalid`, `malformed_body`
 */
export async function receiveCardNotice(services: Services, body: Uint8Array, signature: string): Promise<void> {
  const { cards } = services;
  if (cards === null) throw new VolleyError("rail_unavailable", "Cards are not taken here.");
  const notice = await verified(services, cards, body, signature);
  if (notice === null) return;
  const isNew = await services.db.transaction(async (tx) => {
    const { id, type } = notice;
    const inserted = await tx
      .insert(cardEvents)
      .values({ id, type, createdAt: services.clock.nowMs() })
      .onConflictDoNothing()
      .returning({ id: cardEvents.id });
    if (inserted.length > 0) await wakeTask(services, tx, notice);
    return inserted.length > 0;
  });
  if (isNew) services.hints.notify("tasks");
}

async function verified(
  services: Services,
  cards: CardProcessor,
  body: Uint8Array,
  signature: string,
): Promise<CardNotice | null> {
  try {
    return await cards.verify(body, signature, services.clock.nowMs());
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new VolleyError("malformed_body", "The notice is signed, and no JSON.", { cause: error });
    }
    if (!(error instanceof CardError) || error.kind !== "signature") throw error;
    throw new VolleyError(
      "webhook_signature_invalid",
      "The signature is not by a secret that is known here, or too old.",
      {
        nextAction: "Compare the endpoint's signing secret with VOLLEY_STRIPE_WEBHOOK_SECRETS, and the clocks.",
        cause: error,
      },
    );
  }
}

async function wakeTask({ clock }: Services, tx: Transaction, { subject }: CardNotice): Promise<void> {
  if (!isId("payment", subject)) {
    const [known] = await tx
      .select({ paymentId: cardPayments.paymentId })
      .from(cardPayments)
      .where(eq(cardPayments.paymentIntent, subject));
    return await wake(tx, "card", known?.paymentId ?? subject, clock.nowMs());
  }
  const [payment] = await tx.select({ rail: payments.rail }).from(payments).where(eq(payments.id, subject));
  if (payment?.rail === "stripe") await wake(tx, "card", subject, clock.nowMs());
}
