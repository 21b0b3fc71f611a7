import type { Receipt } from "@volley/schema/resources/receipt";
import { asc, eq, inArray } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { receiptAnchors, receipts } from "../db/tables.ts";
import { type MerkleTree, merkleProof, merkleTree } from "./merkle-tree.ts";
import type { ReceiptRow } from "./to-receipt-resource.ts";

/** The trees of closed days never change; each entry is a day's hashes, so only some are kept. */
const DAYS_KEPT = 8;
const kept = new Map<string, ClosedDay>();

interface ClosedDay {
  readonly positions: ReadonlyMap<string, number>;
  readonly tree: MerkleTree;
}

/** A day's receipts in the order in which they are leaves. */
export function leavesOf(executor: Executor, day: string): Promise<{ hash: string }[]> {
  return executor.select({ hash: receipts.hash }).from(receipts).where(eq(receipts.day, day)).orderBy(asc(receipts.id));
}

/** Each receipt's place in the tree of its day, by its id; those whose day isn't closed are left out. */
export async function loadAnchors(
  { db }: { readonly db: Executor },
  found: readonly ReceiptRow[],
): Promise<Map<string, NonNullable<Receipt["anchor"]>>> {
  const days = [...new Set(found.map((row) => row.day))];
  const anchors =
    days.length === 0 ? [] : await db.select().from(receiptAnchors).where(inArray(receiptAnchors.day, days));
  const placed = new Map<string, NonNullable<Receipt["anchor"]>>();
  for (const { day, merkleRoot, status, signature } of anchors) {
    const { positions, tree } = await closedDay(db, day, merkleRoot);
    for (const row of found) {
      const position = positions.get(row.hash);
      if (row.day !== day || position === undefined) continue;
      placed.set(row.id, {
        day,
        merkle_root: merkleRoot,
        proof: merkleProof(tree, position),
        signature: status === "finalized" ? signature : null,
      });
    }
  }
  return placed;
}

async function closedDay(db: Executor, day: string, root: string): Promise<ClosedDay> {
  const known = kept.get(root);
  if (known !== undefined) return known;
  const leaves = await leavesOf(db, day);
  const closed = {
    positions: new Map(leaves.map(({ hash }, index) => [hash, index])),
    tree: merkleTree(leaves.map(({ hash }) => hash)),
  };
  for (const oldest of kept.keys()) {
    if (kept.size < DAYS_KEPT) break;
    kept.delete(oldest);
  }
  kept.set(root, closed);
  return closed;
}
