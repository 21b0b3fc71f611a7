import { toMoney, toTimestamp, type UnallocatedTransfer } from "@volley/schema";
import type { inboundTransfers } from "../../db/tables.ts";

export type InboundRow = typeof inboundTransfers.$inferSelect;

export function toUnallocatedResource(row: InboundRow): UnallocatedTransfer {
  if (row.finality === "dropped") throw new Error(`transfer ${row.signature} is gone from the chain`);
  return {
    object: "unallocated_transfer",
    signature: row.signature,
    index: row.transferIndex,
    amount: toMoney(row.amountMicroUsdc),
    source: row.sourceOwner,
    finality: row.finality,
    received_at: toTimestamp(row.createdAt),
    claimed: row.claimedBy !== null,
  };
}
