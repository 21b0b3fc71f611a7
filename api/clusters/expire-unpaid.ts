import { and, eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { payments, sponsoredTransactions } from "../db/tables.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import { endCluster, notifyEnded } from "./end-cluster.ts";
import { type ClusterRow, lockCluster } from "./open-cluster.ts";

/** A payment that landed just in time is seen a little later. */
const GRACE_MS = 5_000;
/** A payment that came whole and in time but isn't final enough yet gets this long to become so. */
const FINALITY_GRACE_MS = 120_000;

/** The one transaction that could have paid for it was refused, or can't land any more. */
async function hasFailed(tx: Transaction, paymentId: string): Promise<boolean> {
  const [transaction] = await tx
    .select({ status: sponsoredTransactions.status })
    .from(sponsoredTransactions)
    .where(eq(sponsoredTransactions.paymentId, paymentId));
  return transaction?.status === "refused" || transaction?.status === "failed";
}

/** Gives the machines of a reservation back when nobody has paid for them in time. */
export async function expireUnpaid(ctx: Context, cluster: ClusterRow): Promise<TaskOutcome> {
  const nowMs = ctx.clock.nowMs();
  const outcome = await ctx.db.transaction(async (tx) => {
    const locked = await lockCluster(tx, cluster.id);
    if (locked?.status !== "awaiting_payment") return { dueAtMs: nowMs };
    const [payment] = await tx
      .select()
      .from(payments)
      .where(and(eq(payments.clusterId, locked.id), eq(payments.purpose, "reserve")));
    if (payment !== undefined) {
      const isDead = payment.rail === "x402" && (await hasFailed(tx, payment.id));
      const isWhole = payment.status === "detected" && payment.receivedMicroUsdc >= payment.amountMicroUsdc;
      const expiresAtMs = payment.expiresAt + (isWhole ? FINALITY_GRACE_MS : GRACE_MS);
      if (nowMs < expiresAtMs && !isDead) return { dueAtMs: expiresAtMs };
    }
    return endCluster(ctx, tx, locked, { status: "expired", reason: "unpaid", meteredUntilMs: nowMs });
  });
  if ("dueAtMs" in outcome) return outcome;
  notifyEnded(ctx, cluster.id, outcome.nodeIds);
  return "done";
}
