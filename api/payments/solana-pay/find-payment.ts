import { VolleyError } from "@volley/schema/errors";
import { eq } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { payments } from "../../db/tables.ts";
import type { PaymentRow } from "../to-payment-resource.ts";

/**
 * The payment that a payer's link names. Whoever has the link may pay, so it asks for no credential; the id is random.
 * @throws {VolleyError} `not_found`
 */
export async function findPayment(ctx: Pick<Context, "db">, id: string): Promise<PaymentRow> {
  const [payment] = await ctx.db.select().from(payments).where(eq(payments.id, id));
  if (payment === undefined) {
    throw new VolleyError("not_found", "There is no such payment.", {
      // Wallets show it to the payer.
      extensions: { message: "There is no such payment." },
      nextAction: "Ask for a new link: it may have been cut off.",
    });
  }
  return payment;
}
