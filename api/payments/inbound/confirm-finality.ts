import { and, asc, eq, inArray, isNull, lte, type SQL, sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { inboundTransfers, payments } from "../../db/tables.ts";
import { ChainError, type ChainTransaction, TWO_NODES } from "../../ports/chain.ts";
import { dropCursor, moveCursor, readCursor } from "./chain-cursor.ts";
import { dropInbound } from "./drop-inbound.ts";
import type { InboundRow } from "./inbound-reference.ts";
import { processTransaction } from "./process-transaction.ts";
import { recordInbound } from "./record-inbound.ts";
import { type TreasuryAccount, verifyTransaction } from "./verify-transaction.ts";

/** Long after any blockhash that the transaction could have named has expired. */
const DROP_AGE_SLOTS = 300n;
/** For how long every look must find nothing. */
const DROP_MISSING_SLOTS = 150n;
/** Transactions that one step looks at. */
const TRANSACTIONS_MAX = 100;

/**
 * Looks again at transfers that were seen at `confirmed`: those that are final by now are marked so, those that are
 * gone for good are reversed. One node proves neither: two have to say the same, and that it is gone for minutes.
 * Where there are more than one step looks at, they take turns, so that those that the nodes never agree about, and
 * those that come in any number, keep nobody's money waiting.
 *
 * @param paymentId only of this payment; all when absent
 * @returns whether others wait for the next step
 */
export async function confirmFinality(ctx: Context, treasury: TreasuryAccount, paymentId?: string): Promise<boolean> {
  const finalizedSlot = await ctx.chain.slot("finalized", TWO_NODES);
  const turn = paymentId === undefined ? `${treasury.tokenAccount}:finality` : null;
  const isOpen = and(
    eq(inboundTransfers.finality, "confirmed"),
    lte(inboundTransfers.slot, finalizedSlot),
    paymentId === undefined ? undefined : eq(inboundTransfers.paymentId, paymentId),
  );
  const signatures = await nextSignatures(ctx, turn, isOpen);
  const open = await ctx.db
    .select()
    .from(inboundTransfers)
    .where(and(isOpen, inArray(inboundTransfers.signature, signatures)))
    .orderBy(asc(inboundTransfers.createdAt));
  // A transaction can hold some sixty transfers at the price of one, so nodes are asked for it once.
  for (const [signature, rows] of Map.groupBy(open, (row) => row.signature)) {
    ctx.signal.throwIfAborted();
    try {
      const transaction = await ctx.chain.transaction(signature, "finalized", TWO_NODES);
      for (const row of rows) await confirmOne(ctx, treasury, row, { transaction, finalizedSlot });
    } catch (error) {
      // What the nodes don't agree about now must not keep the others from becoming final.
      if (!(error instanceof ChainError)) throw error;
      ctx.logger.warn("a transfer could not be confirmed and will be looked at again", { signature, error });
    }
  }
  return signatures.length === TRANSACTIONS_MAX;
}

/** Those whose turn it is, in the order of the chain; after the last of them the next step begins anew. */
async function nextSignatures(ctx: Context, turn: string | null, isOpen: SQL | undefined): Promise<string[]> {
  const after = turn === null ? undefined : await readCursor(ctx, turn);
  const isNext =
    after === undefined
      ? undefined
      : sql`(${inboundTransfers.slot}, ${inboundTransfers.signature}) > (${after.slot}::bigint, ${after.signature})`;
  const next = await ctx.db
    .selectDistinct({ slot: inboundTransfers.slot, signature: inboundTransfers.signature })
    .from(inboundTransfers)
    .where(and(isOpen, isNext))
    .orderBy(asc(inboundTransfers.slot), asc(inboundTransfers.signature))
    .limit(TRANSACTIONS_MAX);
  const last = next.length < TRANSACTIONS_MAX ? undefined : next.at(-1);
  if (turn !== null && last !== undefined) await moveCursor(ctx, turn, last);
  if (turn !== null && last === undefined && after !== undefined) await dropCursor(ctx, turn);
  return next.map(({ signature }) => signature);
}

interface Found {
  readonly transaction: ChainTransaction | null;
  readonly finalizedSlot: bigint;
}

async function confirmOne(
  ctx: Context,
  treasury: TreasuryAccount,
  row: InboundRow,
  { transaction, finalizedSlot }: Found,
): Promise<void> {
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
  // The row knows whom it was for; the transaction may not, as x402 clients know no references.
  const transfers = [{ ...same, reference: await referenceOf(ctx, row.paymentId) }];
  const { signature, slot, blockTimeSeconds } = verified;
  await recordInbound(ctx, { signature, slot, blockTimeSeconds, transfers, finality: "finalized" });
}

async function referenceOf(ctx: Context, paymentId: string | null): Promise<string | null> {
  if (paymentId === null) return null;
  const [payment] = await ctx.db
    .select({ reference: payments.reference })
    .from(payments)
    .where(eq(payments.id, paymentId));
  return payment?.reference ?? null;
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
