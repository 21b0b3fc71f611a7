import type { InputOf, Operations, OutputOf, Refund } from "@volley/schema";
import { and, desc, eq, inArray, or } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { isAfter, momentCursor, readMomentCursor } from "../../db/moment-cursor.ts";
import { clusters, refunds } from "../../db/tables.ts";
import { openAccount } from "../../identity/open-account.ts";
import { toRefundResource } from "./to-refund-resource.ts";

type List = Operations["refunds.list"];

/**
 * What was sent back to the account and for its clusters, newest first.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `invalid_cursor`
 */
export async function listRefunds(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const after = readMomentCursor(input.cursor);
  const { id } = await openAccount(ctx);
  const ofClusters = ctx.db.select({ id: clusters.id }).from(clusters).where(eq(clusters.customerId, id));
  const isOwn = or(eq(refunds.customerId, id), inArray(refunds.clusterId, ofClusters));
  const found = await ctx.db
    .select()
    .from(refunds)
    .where(and(isOwn, isAfter(refunds.createdAt, refunds.id, after)))
    .orderBy(desc(refunds.createdAt), desc(refunds.id))
    .limit(input.limit + 1);
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    data: page.map(toRefundResource),
    next_cursor: found.length > page.length && last !== undefined ? momentCursor(last.createdAt, last.id) : null,
  };
}

/** The cursor after which the page that begins with the next refund is asked for. */
export function refundCursor(refund: Refund): string {
  return momentCursor(Date.parse(refund.created_at), refund.id);
}
