/**
 * The task of kind `payouts`: hands suppliers what they have earned. A payout is a row of `refunds` with a supplier as
 * its owner, so the treasury signs, sends and follows it exactly like a refund.
 */
import { and, eq, inArray, sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { type Database, rows } from "../../db/database.ts";
import { refunds, suppliers, tasks } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { supplierAccount } from "../../ledger/accounts.ts";
import { balanceOf } from "../../ledger/balance-of.ts";
import { smaller } from "../../ledger/smaller.ts";
import { beginRefund } from "../refunds/begin-refund.ts";

const TASK = "all";
const BATCH = 200;
/** More are for the next run, so that one step has an end. */
const PAYOUTS_PER_RUN_MAX = 10_000;
/** An address that couldn't receive is not tried again for so long. */
const RETURNED_PAUSE_MS = 86_400_000;
/** Whoever has more than one payout may move gets the next one when that has landed. */
const MORE_PAUSE_MS = 600_000;

/** A run that is planned already keeps its time, however often a process starts. */
export async function ensurePayouts(db: Database, nowMs: number): Promise<void> {
  await db.insert(tasks).values({ kind: "payouts", id: TASK, dueAt: nowMs }).onConflictDoNothing();
}

export async function paySuppliers(ctx: Context): Promise<TaskOutcome> {
  const { payoutIntervalSeconds, payoutMaxMicroUsdc } = ctx.settings;
  let begun = 0;
  let hasMore = false;
  for (let after = ""; begun < PAYOUTS_PER_RUN_MAX; ) {
    const due = await dueSuppliers(ctx, after);
    for (const { id } of due) if (await paySupplier(ctx, id)) begun++;
    hasMore ||= due.some(({ earned }) => BigInt(earned) > payoutMaxMicroUsdc);
    const last = due.at(-1);
    if (last === undefined) break;
    after = last.id;
  }
  if (begun > 0) {
    ctx.logger.info("payouts have begun", { payouts: begun });
    ctx.hints.notify("tasks");
  }
  const pauseMs = payoutIntervalSeconds * 1000;
  return { dueAtMs: ctx.clock.nowMs() + (hasMore ? Math.min(pauseMs, MORE_PAUSE_MS) : pauseMs) };
}

/** Suppliers that may have something to get, in id order; each is looked at again under its lock. */
async function dueSuppliers(ctx: Context, after: string): Promise<{ id: string; earned: string }[]> {
  return await rows<{ id: string; earned: string }>(
    ctx.db,
    sql`SELECT s.id, a.credits_posted - a.debits_posted - a.debits_pending AS earned FROM suppliers AS s JOIN accounts AS a ON a.id = 'supplier:' || s.id
        WHERE s.payout_address IS NOT NULL AND s.id > ${after}
          AND a.credits_posted - a.debits_posted - a.debits_pending >= ${ctx.settings.payoutMinMicroUsdc.toString()}::bigint
        ORDER BY s.id LIMIT ${BATCH}`,
  );
}

/** One payout at a time for each supplier: the row's lock makes sure of it. @returns whether one has begun */
async function paySupplier(ctx: Context, id: string): Promise<boolean> {
  const { clock, settings } = ctx;
  return await ctx.db.transaction(async (tx) => {
    const [supplier] = await tx.select().from(suppliers).where(eq(suppliers.id, id)).for("no key update");
    if (supplier?.payoutAddress == null) return false;
    const own = eq(refunds.supplierId, id);
    const nowMs = clock.nowMs();
    const inTheWay = await tx
      .select({ id: refunds.id })
      .from(refunds)
      .where(
        and(
          own,
          sql`(${inArray(refunds.status, ["pending", "held", "sent"])} OR (${refunds.status} = 'cancelled'
               AND ${refunds.toAddress} = ${supplier.payoutAddress}
               AND ${refunds.createdAt} > ${nowMs - RETURNED_PAUSE_MS}))`,
        ),
      )
      .limit(1);
    if (inTheWay.length > 0) return false;
    const { availableMicroUsdc } = await balanceOf(tx, supplierAccount(id));
    if (availableMicroUsdc < settings.payoutMinMicroUsdc) return false;
    await beginRefund(ctx, tx, {
      owner: { supplierId: id },
      toAddress: supplier.payoutAddress,
      amountMicroUsdc: smaller(availableMicroUsdc, settings.payoutMaxMicroUsdc),
      notBeforeMs: nowMs,
    });
    return true;
  });
}
