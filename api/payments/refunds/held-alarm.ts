/** The alarm that says that refunds or payouts are held and somebody has to look. */
import { and, count, eq, sql } from "drizzle-orm";
import type { Transaction } from "../../db/database.ts";
import { alarms, refunds } from "../../db/tables.ts";

const NAME = "refunds_held";

export async function raiseHeldAlarm(tx: Transaction, example: string, nowMs: number): Promise<void> {
  const [all] = await tx.select({ count: count() }).from(refunds).where(eq(refunds.status, "held"));
  const detail = `${all?.count ?? 1} refunds or payouts are held, such as ${example}`;
  await tx
    .insert(alarms)
    .values({ name: NAME, detail, blocksOutbound: false, raisedAt: nowMs, seenAt: nowMs })
    .onConflictDoUpdate({ target: alarms.name, set: { detail, seenAt: nowMs } });
}

/** Takes it down when nothing is held any more. */
export async function clearHeldAlarm(tx: Transaction): Promise<void> {
  await tx
    .delete(alarms)
    .where(and(eq(alarms.name, NAME), sql`NOT EXISTS (SELECT 1 FROM refunds WHERE status = 'held')`));
}
