/** A payment whose fee a facilitator of somebody else pays. What it says is not believed: the chain tells. */
import { and, eq, inArray } from "drizzle-orm";
import { wake } from "../../db/database.ts";
import { inboundTransfers } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { treasuryAccount } from "../../payments/inbound/treasury-account.ts";
import { checkPayment, TransactionRefusal } from "../../payments/x402/check-transaction.ts";
import { networkOf } from "../../payments/x402/network.ts";
import { TIMEOUT_SECONDS } from "../../payments/x402/protocol.ts";
import { type Facilitator, FacilitatorError, type SettleOrder } from "../../ports/facilitator.ts";
import type { TreasuryContext } from "../treasury-context.ts";
import { close, mayLand, type Sponsored, type SponsoredPayment, soon, takeRequested } from "./sponsored-row.ts";

/**
 * Hands it to whoever signs and sends in the sponsor's place, at most once: a second call could be told that it was
 * refused, as a duplicate of the first, whose answer was lost. Then the payment is found by its payer's signature when
 * it lands, and a lost call ends with its blockhash.
 */
export async function handOver(
  ctx: TreasuryContext,
  facilitator: Facilitator,
  row: Sponsored,
  payment: SponsoredPayment,
): Promise<TaskOutcome> {
  const order = await orderOf(ctx, row, payment);
  if (typeof order === "string") return await close(ctx, row, "refused", order);
  const taken = await ctx.db.transaction((tx) => takeRequested(ctx, tx, row, payment, null));
  if (taken === "gone") return await close(ctx, row, "refused", "The reservation has ended.");
  if (taken === "taken") return soon(ctx);
  try {
    const answer = await facilitator.settle(order);
    if (!answer.settled && !(await hasArrived(ctx, row, ["confirmed", "finalized"]))) {
      return await close(ctx, row, "failed", `The facilitator refused it: ${answer.reason}`);
    }
  } catch (error) {
    if (!(error instanceof FacilitatorError)) throw error;
    ctx.logger.warn("the facilitator's answer is lost: the chain will tell", { sponsored_id: row.id, error });
  }
  await wake(ctx.db, "payment", row.paymentId, ctx.clock.nowMs());
  return soon(ctx);
}

/** What somebody else was given: whatever they say, it is there or it can't come any more. */
export async function watchHandedOver(ctx: TreasuryContext, row: Sponsored): Promise<TaskOutcome> {
  if (await hasArrived(ctx, row, ["finalized"])) return await close(ctx, row, "settled", null);
  if (await mayLand(ctx, row.lastValidBlockHeight)) return soon(ctx);
  if (await hasArrived(ctx, row, ["confirmed"])) return soon(ctx);
  return await close(ctx, row, "failed", "The facilitator brought nothing on chain while the transaction could land.");
}

async function hasArrived(
  ctx: TreasuryContext,
  { paymentId }: Sponsored,
  finality: ("confirmed" | "finalized")[],
): Promise<boolean> {
  const [arrived] = await ctx.db
    .select({ finality: inboundTransfers.finality })
    .from(inboundTransfers)
    .where(and(eq(inboundTransfers.paymentId, paymentId), inArray(inboundTransfers.finality, finality)));
  return arrived !== undefined;
}

/** What is asked for, to our own wallet whatever the rows say. @returns why not, in a sentence */
async function orderOf(
  ctx: TreasuryContext,
  row: Sponsored,
  { amountMicroUsdc }: SponsoredPayment,
): Promise<SettleOrder | string> {
  const { sponsorAddress: feePayer } = ctx.settings;
  if (feePayer === null) return "No fee payer is named.";
  const { tokenAccount, mint, owner: payTo } = await treasuryAccount(ctx.settings);
  const expected = { feePayer, mint, payTo, tokenAccount, amountMicroUsdc, memo: null, reference: null };
  try {
    const { memo } = await checkPayment(row.transactionBase64, expected);
    const requirements = {
      scheme: "exact" as const,
      network: networkOf(ctx.settings),
      amount: amountMicroUsdc.toString(),
      asset: mint,
      payTo,
      maxTimeoutSeconds: TIMEOUT_SECONDS,
      extra: { feePayer, memo },
    };
    return { transactionBase64: row.transactionBase64, requirements };
  } catch (error) {
    if (error instanceof TransactionRefusal) return error.message;
    throw error;
  }
}
