import { VolleyError } from "@volley/schema/errors";
import { eq } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { payments, sponsoredTransactions } from "../../db/tables.ts";
import { watchTopic } from "../../events/watch-topic.ts";
import { networkOf } from "./network.ts";
import type { SettlementResponse } from "./protocol.ts";

/** Half of what a blockhash lives; a payment that counts when it is finalized takes some 15 s. */
const WAIT_MS = 30_000;
const POLL_MS = 250;

/**
 * Waits until a claimed payment has settled, so that its client has one answer. If that takes too long the caller
 * answers with what is there; the payment goes on without anybody waiting. So it does when the reservation has ended
 * while the money was on its way.
 * @throws {VolleyError} `payment_failed` when no money will come
 */
export async function awaitSettlement(ctx: Context, clusterId: string): Promise<void> {
  const endMs = ctx.clock.nowMs() + WAIT_MS;
  while (!ctx.signal.aborted) {
    const watch = watchTopic(ctx, `cluster:${clusterId}`, POLL_MS);
    try {
      const [found] = await ctx.db
        .select({ payment: payments.status, transaction: sponsoredTransactions })
        .from(payments)
        .innerJoin(sponsoredTransactions, eq(sponsoredTransactions.paymentId, payments.id))
        .where(eq(payments.clusterId, clusterId));
      if (found === undefined || found.payment === "settled") return;
      const { status, reason, signature } = found.transaction;
      const isOver = found.payment === "expired";
      if (status === "refused" || status === "failed" || (isOver && status === "requested")) {
        throw failed(ctx, reason ?? "The reservation has ended.", signature);
      }
      // What was signed may land yet, or has: then it is credit of the cluster, which its client needs the secret of.
      if (isOver || ctx.clock.nowMs() >= endMs) return;
      await watch.changed;
    } finally {
      watch.stop();
    }
  }
}

function failed({ settings }: Context, reason: string, signature: string | null): VolleyError {
  const settlement: SettlementResponse = {
    success: false,
    errorReason: reason,
    transaction: signature ?? "",
    network: networkOf(settings),
  };
  return new VolleyError("payment_failed", `The payment did not settle. ${reason}`, {
    nextAction: "No money was taken. Ask for a new quote and reserve again with a fresh Idempotency-Key.",
    extensions: { settlement },
  });
}
