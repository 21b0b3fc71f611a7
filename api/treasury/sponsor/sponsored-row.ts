/** What both ways of a sponsored transaction, by our sponsor or by a facilitator, do with its row. */
import { and, eq } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import { type Transaction, wake } from "../../db/database.ts";
import { payments, sponsoredTransactions } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { TWO_NODES } from "../../ports/chain.ts";
import type { TreasuryContext } from "../treasury-context.ts";

export type Sponsored = typeof sponsoredTransactions.$inferSelect;
export type SponsoredPayment = typeof payments.$inferSelect;

/** Beyond the last height at which the blockhash can be valid: nodes that lag by so much aren't believed anyway. */
const EXPIRY_MARGIN_BLOCKS = 32n;
const POLLS_PER_LOOK = 2;

/**
 * Says that it will be signed, as long as it is still wanted. What isn't taken is neither sent nor handed to anybody.
 * @returns `gone` where the reservation has ended, `taken` where another worker was faster
 */
export async function takeRequested(
  ctx: TreasuryContext,
  tx: Transaction,
  row: Sponsored,
  { id: paymentId, clusterId }: SponsoredPayment,
  signed: { readonly signature: string; readonly transactionBase64: string } | null,
): Promise<"ours" | "gone" | "taken"> {
  if (clusterId !== null) await lockCluster(tx, clusterId);
  const [payment] = await tx.select().from(payments).where(eq(payments.id, paymentId)).for("no key update");
  // A part may have arrived of what a transaction request asks the rest of; an x402 payment comes whole.
  const isDue =
    payment?.status === "pending" || (payment?.status === "detected" && row.purpose === "transaction_request");
  if (!isDue || payment.expiresAt <= ctx.clock.nowMs()) return "gone";
  const taken = await tx
    .update(sponsoredTransactions)
    .set({ status: "signed", signature: signed?.signature ?? null, signedBase64: signed?.transactionBase64 ?? null })
    .where(and(eq(sponsoredTransactions.id, row.id), eq(sponsoredTransactions.status, "requested")))
    .returning({ id: sponsoredTransactions.id });
  return taken.length === 0 ? "taken" : "ours";
}

/** When to look again. Nodes send on by themselves; ours is for when they have forgotten. */
export const soon = (ctx: TreasuryContext): TaskOutcome => ({
  dueAtMs: ctx.clock.nowMs() + POLLS_PER_LOOK * ctx.settings.chainPollMs,
});

/** @returns true while no two nodes say that its blockhash has expired */
export async function mayLand(ctx: TreasuryContext, lastValidBlockHeight: bigint): Promise<boolean> {
  const height = await ctx.chain.blockHeight("finalized", TWO_NODES);
  return height <= lastValidBlockHeight + EXPIRY_MARGIN_BLOCKS;
}

/**
 * The end. Of a payment that won't come any more the cluster is told, which then holds its machines no longer. What
 * another worker has signed meanwhile is not refused, whatever this one believes: its money may be on its way.
 */
export async function close(
  ctx: TreasuryContext,
  row: Sponsored,
  status: "refused" | "settled" | "failed",
  reason: string | null,
): Promise<TaskOutcome> {
  const isClosed = await ctx.db.transaction(async (tx) => {
    const from = status === "refused" ? "requested" : "signed";
    const closed = await tx
      .update(sponsoredTransactions)
      .set({ status, reason })
      .where(and(eq(sponsoredTransactions.id, row.id), eq(sponsoredTransactions.status, from)))
      .returning({ id: sponsoredTransactions.id });
    const [payment] = await tx.select().from(payments).where(eq(payments.id, row.paymentId));
    if (closed.length > 0 && status !== "settled" && payment?.clusterId != null) {
      await wake(tx, "cluster", payment.clusterId, ctx.clock.nowMs());
    }
    return closed.length > 0;
  });
  if (!isClosed) return soon(ctx);
  if (status !== "settled") ctx.logger.warn("a sponsored transaction brings nothing", { sponsored_id: row.id, reason });
  return "done";
}
