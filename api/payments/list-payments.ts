import type { InputOf, Operations, OutputOf, Payment } from "@volley/schema";
import { and, desc, eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { isAfter, momentCursor, readMomentCursor } from "../db/moment-cursor.ts";
import { payments } from "../db/tables.ts";
import { openAccount } from "../identity/open-account.ts";
import { loadPaymentResources } from "./load-payments.ts";

type List = Operations["payments.list"];

/**
 * The account's payments, those for its clusters and its top-ups, newest first.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `invalid_cursor`
 */
export async function listPayments(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const after = readMomentCursor(input.cursor);
  const { id } = await openAccount(ctx);
  const found = await ctx.db
    .select()
    .from(payments)
    .where(and(eq(payments.customerId, id), isAfter(payments.createdAt, payments.id, after)))
    .orderBy(desc(payments.createdAt), desc(payments.id))
    .limit(input.limit + 1);
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    data: await loadPaymentResources(ctx, page),
    next_cursor: found.length > page.length && last !== undefined ? momentCursor(last.createdAt, last.id) : null,
  };
}

/** The cursor after which the page that begins with the next payment is asked for. */
export function paymentCursor(payment: Payment): string {
  return momentCursor(Date.parse(payment.created_at), payment.id);
}
