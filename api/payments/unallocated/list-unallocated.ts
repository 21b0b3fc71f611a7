import type { InputOf, Operations, OutputOf, UnallocatedTransfer } from "@volley/schema";
import { and, desc, eq, isNull, ne, sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { momentCursor, readMomentCursor } from "../../db/moment-cursor.ts";
import { inboundTransfers } from "../../db/tables.ts";
import { openAccount } from "../../identity/open-account.ts";
import { toUnallocatedResource } from "./to-unallocated-resource.ts";

type List = Operations["unallocated.list"];

/** What names a transfer, as one text that sorts. */
const name = sql<string>`${inboundTransfers.signature} || ':' || ${inboundTransfers.transferIndex}`;

/**
 * USDC that came from the account's wallet and said for nothing that we know, claimed or not, newest first.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `invalid_cursor`
 */
export async function listUnallocated(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const after = readMomentCursor(input.cursor);
  const { wallet } = await openAccount(ctx);
  const found = await ctx.db
    .select()
    .from(inboundTransfers)
    .where(
      and(
        eq(inboundTransfers.sourceOwner, wallet),
        isNull(inboundTransfers.paymentId),
        ne(inboundTransfers.finality, "dropped"),
        after === null
          ? undefined
          : sql`(${inboundTransfers.createdAt}, ${name}) < (${after.createdAtMs}::bigint, ${after.id})`,
      ),
    )
    .orderBy(desc(inboundTransfers.createdAt), desc(name))
    .limit(input.limit + 1);
  const page = found.slice(0, input.limit).map(toUnallocatedResource);
  const last = page.at(-1);
  return { data: page, next_cursor: found.length > page.length && last ? unallocatedCursor(last) : null };
}

/** The cursor after which the page that begins with the next transfer is asked for. */
export function unallocatedCursor({ received_at, signature, index }: UnallocatedTransfer): string {
  return momentCursor(Date.parse(received_at), `${signature}:${index}`);
}
