/** Which day a receipt belongs to: the UTC date of its issue, unless that day's tree has been closed already. */
import { toTimestamp } from "@volley/schema/time";
import { gte, sql } from "drizzle-orm";
import type { Transaction } from "../db/database.ts";
import { receiptAnchors } from "../db/tables.ts";

export const DAY_MS = 86_400_000;

export const dayOf = (epochMs: number) => toTimestamp(epochMs).slice(0, 10);

/** Until the transaction ends, no day is closed. */
export async function lockDaysToWrite(tx: Transaction): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock_shared(hashtext('receipt-days'))`);
}

/** Waits for all receipts that are being written, and holds up the next ones until the transaction ends. */
export async function lockDaysToClose(tx: Transaction): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtext('receipt-days'))`);
}

/** Today, or the first day after it whose tree is open: a clock that is behind writes into no closed one. */
export async function openDay(tx: Transaction, nowMs: number): Promise<string> {
  const closed = await tx
    .select({ day: receiptAnchors.day })
    .from(receiptAnchors)
    .where(gte(receiptAnchors.day, dayOf(nowMs)));
  const days = new Set(closed.map(({ day }) => day));
  let atMs = nowMs;
  while (days.has(dayOf(atMs))) atMs += DAY_MS;
  return dayOf(atMs);
}
