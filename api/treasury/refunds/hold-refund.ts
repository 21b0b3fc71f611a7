import { and, count, eq, isNull, sql } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import type { Transaction } from "../../db/database.ts";
import { alarms, clusters, refundAttempts, refunds } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { type RefundRow, toBillRefund } from "../../payments/refunds/begin-refund.ts";
import type { TreasuryContext } from "../treasury-context.ts";

export interface Obstacle {
  /** For whoever waits for the money, in a sentence. */
  readonly reason: string;
  /** Whether somebody has to look: a limit may have to be raised. */
  readonly raisesAlarm: boolean;
}

const ALARM = "refunds_held";
/** How soon an obstacle is looked at again. */
const HELD_PAUSE_MS = 60_000;
const DAY_MS = 86_400_000;

/** Says why nothing is signed, and when to look again: soon, and at the beginning of a new day. */
export async function holdRefund(ctx: TreasuryContext, refund: RefundRow, obstacle: Obstacle): Promise<TaskOutcome> {
  const { reason, raisesAlarm } = obstacle;
  const nowMs = ctx.clock.nowMs();
  await ctx.db.transaction(async (tx) => {
    const cluster = refund.clusterId === null ? null : await lockCluster(tx, refund.clusterId);
    const [now] = await tx.select().from(refunds).where(eq(refunds.id, refund.id)).for("no key update");
    if (now === undefined || now.status === "finalized" || now.status === "cancelled") return;
    const alive = await tx
      .select()
      .from(refundAttempts)
      .where(and(eq(refundAttempts.refundId, now.id), isNull(refundAttempts.deadAt)));
    // Another worker was faster.
    if (alive.length > 0) return;
    if (now.status !== "held" || now.reason !== reason) {
      await tx.update(refunds).set({ status: "held", reason }).where(eq(refunds.id, now.id));
      if (cluster?.bill?.refund.id === now.id) {
        const bill = { ...cluster.bill, refund: toBillRefund({ ...now, status: "held" }) };
        await tx.update(clusters).set({ bill }).where(eq(clusters.id, cluster.id));
      }
    }
    if (!raisesAlarm) return;
    const [all] = await tx.select({ count: count() }).from(refunds).where(eq(refunds.status, "held"));
    const detail = `${all?.count ?? 1} refunds or payouts are held, such as ${refund.id}: ${reason}`;
    await tx
      .insert(alarms)
      .values({ name: ALARM, detail, blocksOutbound: false, raisedAt: nowMs, seenAt: nowMs })
      .onConflictDoUpdate({ target: alarms.name, set: { detail, seenAt: nowMs } });
  });
  if (refund.reason !== reason) ctx.logger.warn("a refund is held", { refund_id: refund.id, reason });
  return { dueAtMs: Math.min(nowMs + HELD_PAUSE_MS, nowMs - (nowMs % DAY_MS) + DAY_MS) };
}

/** Takes the alarm down when nothing is held any more. */
export async function clearHeldAlarm(tx: Transaction): Promise<void> {
  await tx
    .delete(alarms)
    .where(and(eq(alarms.name, ALARM), sql`NOT EXISTS (SELECT 1 FROM refunds WHERE status = 'held')`));
}
