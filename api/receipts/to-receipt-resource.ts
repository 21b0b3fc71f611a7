import { parseId } from "@volley/schema/ids";
import type { Receipt } from "@volley/schema/resources/receipt";
import { toTimestamp } from "@volley/schema/time";
import type { Executor } from "../db/database.ts";
import type { receipts } from "../db/tables.ts";
import { loadAnchors } from "./load-anchors.ts";
import { contentOf } from "./sign-receipt.ts";

export type ReceiptRow = typeof receipts.$inferSelect;

export async function toReceiptResources(
  ctx: { readonly db: Executor },
  found: readonly ReceiptRow[],
): Promise<Receipt[]> {
  const anchors = await loadAnchors(ctx, found);
  return found.map((row) => ({
    id: parseId("receipt", row.id),
    object: "receipt",
    cluster_id: parseId("cluster", row.clusterId),
    chain: row.chain,
    sequence: row.sequence,
    hash: row.hash,
    jws: row.jws,
    content: contentOf(row.jws),
    anchor: anchors.get(row.id) ?? null,
    created_at: toTimestamp(row.createdAt),
  }));
}
