import {
  decodeCursor,
  encodeCursor,
  type InputOf,
  type Operations,
  type OutputOf,
  type Receipt,
  VolleyError,
} from "@volley/schema";
import { and, desc, eq, sql } from "drizzle-orm";
import { opensCluster } from "../clusters/open-cluster.ts";
import type { Context } from "../context.ts";
import { clusters, receipts } from "../db/tables.ts";
import { toReceiptResources } from "./to-receipt-resource.ts";

type List = Operations["receipts.list"];

/**
 * The receipts of the clusters that the credential opens, newest first.
 * @throws {VolleyError} `unauthenticated`, `invalid_cursor`
 */
export async function listReceipts(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const opened = opensCluster(ctx);
  const after = input.cursor === undefined ? null : readCursor(input.cursor);
  const found = await ctx.db
    .select({ receipt: receipts })
    .from(receipts)
    .innerJoin(clusters, eq(clusters.id, receipts.clusterId))
    .where(
      and(
        opened,
        input.cluster_id === undefined ? undefined : eq(receipts.clusterId, input.cluster_id),
        after === null
          ? undefined
          : sql`(${receipts.createdAt}, ${receipts.id}) < (${after.createdAtMs}::bigint, ${after.id})`,
      ),
    )
    .orderBy(desc(receipts.createdAt), desc(receipts.id))
    .limit(input.limit + 1);
  const page = found.slice(0, input.limit).map((row) => row.receipt);
  const last = page.at(-1);
  return {
    data: await toReceiptResources(ctx, page),
    next_cursor: found.length > page.length && last !== undefined ? positionAfter(last.createdAt, last.id) : null,
  };
}

function positionAfter(createdAtMs: number, id: string): string {
  return encodeCursor({ key: String(createdAtMs), id });
}

/** The cursor after which the page that begins with the next receipt is asked for. */
export function receiptCursor(receipt: Receipt): string {
  return positionAfter(Date.parse(receipt.created_at), receipt.id);
}

function readCursor(text: string): { createdAtMs: number; id: string } {
  const position = decodeCursor(text);
  if (position === null || !/^[0-9]{1,15}$/.test(position.key)) {
    throw new VolleyError("invalid_cursor", "The cursor was not issued by this list.", {
      nextAction: "Pass the next_cursor of a page as it is, or leave it out to begin anew.",
    });
  }
  return { createdAtMs: Number(position.key), id: position.id };
}
