import { toMoney } from "@volley/schema/money";
import { and, eq, isNull } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import { clusters, refundAttempts, refunds } from "../../db/tables.ts";
import { appendEvent } from "../../events/append.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { type RefundRow, toBillRefund } from "../../payments/refunds/begin-refund.ts";
import { raiseHeldAlarm } from "../../payments/refunds/held-alarm.ts";
import type { TreasuryContext } from "../treasury-context.ts";

export interface Obstacle {
  /** For whoever waits for the money, in a sentence. */
  readonly reason: string;
  /** Whether somebody has to look: a limit may have to be raised. */
  readonly raisesAlarm: boolean;
}

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
      if (cluster !== null) {
        const amount = toMoney(now.amountMicroUsdc);
        await appendEvent(ctx, tx, cluster.id, "refund.held", { refund_id: now.id, amount, to: now.toAddress, reason });
      }
      if (cluster?.bill?.refund.id === now.id) {
        const bill = { ...cluster.bill, refund: toBillRefund({ ...now, status: "held" }) };
        await tx.update(clusters).set({ bill }).where(eq(clusters.id, cluster.id));
      }
    }
    if (!raisesAlarm) return;
    await raiseHeldAlarm(tx, `${refund.id}: ${reason}`, nowMs);
  });
  if (refund.reason !== reason) ctx.logger.warn("a refund is held", { refund_id: refund.id, reason });
  return { dueAtMs: Math.min(nowMs + HELD_PAUSE_MS, nowMs - (nowMs % DAY_MS) + DAY_MS) };
}
