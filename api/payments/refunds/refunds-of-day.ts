import { and, count, gt, type SQL } from "drizzle-orm";
import type { Maker } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { refunds } from "../../db/tables.ts";

/** Each costs the treasury a fee out of its limit of a day, which is everybody's. */
export const REFUNDS_PER_DAY_MAX = 50;
const DAY_MS = 86_400_000;

/** How many refunds the owner has had in a day, whoever asked for them. */
export async function refundsOfDay({ clock }: Pick<Maker, "clock">, tx: Transaction, ofOwner: SQL): Promise<number> {
  const isRecent = gt(refunds.createdAt, clock.nowMs() - DAY_MS);
  const [recent] = await tx.select({ count: count() }).from(refunds).where(and(ofOwner, isRecent));
  return recent?.count ?? 0;
}
