import type { InputOf, Operations, OutputOf } from "@volley/schema";
import { parseId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { Payout } from "@volley/schema/resources/payment";
import { toTimestamp } from "@volley/schema/time";
import { and, desc, eq, inArray } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { isAfter, momentCursor, readMomentCursor } from "../../db/moment-cursor.ts";
import { refunds, suppliers } from "../../db/tables.ts";
import { openAccount } from "../../identity/open-account.ts";
import type { RefundRow } from "../refunds/begin-refund.ts";

type List = Operations["payouts.list"];

/**
 * What was sent to the suppliers whose payout wallet has signed in, newest first.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `invalid_cursor`
 */
export async function listPayouts(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const after = readMomentCursor(input.cursor);
  const { wallet } = await openAccount(ctx);
  const own = ctx.db.select({ id: suppliers.id }).from(suppliers).where(eq(suppliers.payoutAddress, wallet));
  const found = await ctx.db
    .select()
    .from(refunds)
    .where(and(inArray(refunds.supplierId, own), isAfter(refunds.createdAt, refunds.id, after)))
    .orderBy(desc(refunds.createdAt), desc(refunds.id))
    .limit(input.limit + 1);
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    data: page.map(toPayoutResource),
    next_cursor: found.length > page.length && last !== undefined ? momentCursor(last.createdAt, last.id) : null,
  };
}

/** The cursor after which the page that begins with the next payout is asked for. */
export function payoutCursor(payout: Payout): string {
  return momentCursor(Date.parse(payout.created_at), payout.id);
}

function toPayoutResource(row: RefundRow): Payout {
  if (row.supplierId === null) throw new Error(`payout ${row.id} belongs to no supplier`);
  return {
    id: parseId("refund", row.id),
    object: "payout",
    supplier_id: parseId("supplier", row.supplierId),
    amount: toMoney(row.amountMicroUsdc),
    to: row.toAddress,
    status: row.status,
    reason: row.reason,
    not_before: toTimestamp(row.notBefore),
    signature: row.signature,
    created_at: toTimestamp(row.createdAt),
  };
}
