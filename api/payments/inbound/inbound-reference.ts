import { sql } from "drizzle-orm";
import { rows, type Transaction } from "../../db/database.ts";
import type { inboundTransfers } from "../../db/tables.ts";

export type InboundRow = typeof inboundTransfers.$inferSelect;

/**
 * What the ledger calls a landing of a transfer. A transaction that was dropped with its fork may land again, and
 * that is another landing.
 */
export async function inboundReference(tx: Transaction, signature: string, index: number): Promise<string> {
  const base = `${signature}:${index}`;
  const [drops] = await rows<{ count: number }>(
    tx,
    sql`SELECT count(DISTINCT reference)::int AS count FROM transfers
        WHERE reason = 'inbound_dropped' AND (reference = ${base} OR reference LIKE ${`${base}:%`})`,
  );
  return drops === undefined || drops.count === 0 ? base : `${base}:${drops.count}`;
}
