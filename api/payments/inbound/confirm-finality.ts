import { and, asc, eq, isNull, lte } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { inboundTransfers, payments } from "../../db/tables.ts";
import { ChainError, TWO_NODES } from "../../ports/chain.ts";
import { attributeTransfers } from "./attribute-transfers.ts";
import { dropInbound } from "./drop-inbound.ts";
import type { InboundRow } from "./inbound-reference.ts";
import { processTransaction } from "./process-transaction.ts";
import { recordInbound } from "./record-inbound.ts";
import { type TreasuryAccount, verifyTransaction } from "./verify-transaction.ts";

/** Long after any blockhash that the transaction could have named has expired. */
const DROP_AGE_SLOTS = 300n;
/** For how long every look must find nothing. */
const DROP_MISSING_SLOTS = 150n;
const ROWS_MAX = 100;

/**
 * Looks again at transfers that were seen at `confirmed`: those that are final by now are marked so, those that are
 * gone for good are reversed. One node proves neither: two have to say the same, and that it is gone for minutes.
 */
export async function confirmFinality(ctx: Context, treasury: TreasuryAccount, paymentId?: string): Promise<void> {
  const finalizedSlot = await ctx.chain.slot("finalized", TWO_NODES);
  const open = await ctx.db
    .select()
    .from(inboundTransfers)
    .where(
      and(
        eq(inboundTransfers.finality, "confirmed"),
        lte(inboundTransfers.slot, finalizedSlot),
        paymentId === undefined ? undefined : eq(inboundTransfers.paymentId, paymentId),
      ),
    )
    .orderBy(asc(inboundTransfers.createdAt))
    .limit(ROWS_MAX);
  for (const row of open) {
    ctx.signal.throwIfAborted();
    try {
      await confirmOne(ctx, treasury, row, finalizedSlot);
    } catch (error) {
      // What the nodes don't agree about now must not keep the others from becoming final.
      if (!(error instanceof ChainError)) throw error;
      const { signature } = row;
      ctx.logger.warn("a transfer could not be confirmed and will be looked at again", { signature, error });
    }
  }
}

async function confirmOne(
  ctx: Context,
  treasury: TreasuryAccount,
  row: InboundRow,
  finalizedSlot: bigint,
): Promise<void> {
  const transaction = await ctx.chain.transaction(row.signature, "finalized", TWO_NODES);
  if (transaction === null) {
    await noteMissing(ctx, row, finalizedSlot);
    return;
  }
  const verified = verifyTransaction(transaction, treasury);
  const same = verified.transfers.find(
    ({ index, amountMicroUsdc }) => index === row.transferIndex && amountMicroUsdc === row.amountMicroUsdc,
  );
  if (same === undefined) {
    // On the fork that became final it failed, or did something else; or one node had told us stories.
    await dropInbound(ctx, row);
    await processTransaction(ctx, treasury, transaction, "finalized");
    return;
  }
  const references = await referenceOf(ctx, row.paymentId);
  const { transfers } = attributeTransfers(verified, references);
  const { signature, slot, blockTimeSeconds } = verified;
  const ours = transfers.filter((transfer) => transfer.index === row.transferIndex);
  await recordInbound(ctx, { signature, slot, blockTimeSeconds, transfers: ours, finality: "finalized" });
}

async function referenceOf(ctx: Context, paymentId: string | null): Promise<Set<string>> {
  if (paymentId === null) return new Set();
  const found = await ctx.db.select({ reference: payments.reference }).from(payments).where(eq(payments.id, paymentId));
  return new Set(found.flatMap((payment) => payment.reference ?? []));
}

async function noteMissing(ctx: Context, row: InboundRow, finalizedSlot: bigint): Promise<void> {
  const isThis = and(
    eq(inboundTransfers.signature, row.signature),
    eq(inboundTransfers.transferIndex, row.transferIndex),
  );
  if ((await ctx.chain.signatureStatus(row.signature, TWO_NODES)) !== null) {
    if (row.missingSinceSlot === null) return;
    await ctx.db.update(inboundTransfers).set({ missingSinceSlot: null }).where(isThis);
    return;
  }
  if (row.missingSinceSlot === null) {
    await ctx.db
      .update(inboundTransfers)
      .set({ missingSinceSlot: finalizedSlot })
      .where(and(isThis, isNull(inboundTransfers.missingSinceSlot)));
    return;
  }
  const gone = finalizedSlot - row.slot >= DROP_AGE_SLOTS && finalizedSlot - row.missingSinceSlot >= DROP_MISSING_SLOTS;
  if (gone) await dropInbound(ctx, row);
}
