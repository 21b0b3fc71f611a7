/**
 * The task of kind `sponsor`: pays the fee of a payment that an x402 client has signed. The same bytes are stored once,
 * sent until they have landed or can't land any more, and then it is over, one way or the other: nothing is signed anew.
 */
import { and, eq } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import { type Transaction, wake } from "../../db/database.ts";
import { payments, sponsoredTransactions } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { treasuryAccount } from "../../payments/inbound/treasury-account.ts";
import { TransactionRefusal } from "../../payments/x402/check-transaction.ts";
import { ChainError, TWO_NODES } from "../../ports/chain.ts";
import type { SignedSponsored, SponsorSigner } from "../../ports/sponsor-signer.ts";
import { recordSigning } from "../record-signing.ts";
import type { TreasuryContext } from "../treasury-context.ts";

type Sponsored = typeof sponsoredTransactions.$inferSelect;
type Payment = typeof payments.$inferSelect;

/** Beyond the last height at which the blockhash can be valid: nodes that lag by so much aren't believed anyway. */
const EXPIRY_MARGIN_BLOCKS = 32n;
/** Where no sponsor is, somebody else's worker does the work. */
const NO_SPONSOR_PAUSE_MS = 60_000;
/** Nodes send on by themselves; ours is for when they have forgotten. */
const POLLS_PER_LOOK = 2;
const RECENT = 1_000;

export async function processSponsored(ctx: TreasuryContext, id: string): Promise<TaskOutcome> {
  const [row] = await ctx.db.select().from(sponsoredTransactions).where(eq(sponsoredTransactions.id, id));
  switch (row?.status) {
    case "requested":
      return await sign(ctx, row);
    case "signed":
      return await follow(ctx, row);
    default:
      return "done";
  }
}

const soon = (ctx: TreasuryContext): TaskOutcome => ({
  dueAtMs: ctx.clock.nowMs() + POLLS_PER_LOOK * ctx.settings.chainPollMs,
});

async function sign(ctx: TreasuryContext, row: Sponsored): Promise<TaskOutcome> {
  const { sponsor } = ctx;
  if (sponsor === null) return { dueAtMs: ctx.clock.nowMs() + NO_SPONSOR_PAUSE_MS };
  const [payment] = await ctx.db.select().from(payments).where(eq(payments.id, row.paymentId));
  if (payment === undefined) throw new Error(`sponsored transaction ${row.id} has no payment`);
  if ((await ctx.chain.blockHeight("confirmed")) > row.lastValidBlockHeight) {
    return await close(ctx, row, "refused", "Its blockhash has expired.");
  }
  const signed = await trySign(ctx, sponsor, row, payment);
  if (typeof signed === "string") return await close(ctx, row, "refused", signed);
  const stored = await store(ctx, row, payment, signed);
  if (stored !== null) return await close(ctx, row, "refused", stored);
  await send(ctx, row.id, signed.transactionBase64);
  return soon(ctx);
}

/** @returns why the signer refuses, in a sentence */
async function trySign(
  ctx: TreasuryContext,
  sponsor: SponsorSigner,
  row: Sponsored,
  { amountMicroUsdc }: Payment,
): Promise<SignedSponsored | string> {
  try {
    // To our own wallet, whatever the rows say.
    return await sponsor.sign(row.transactionBase64, { payTo: ctx.settings.treasuryAddress, amountMicroUsdc });
  } catch (error) {
    if (error instanceof TransactionRefusal) return error.message;
    throw error;
  }
}

/**
 * Counts and stores what was signed, as long as it is still wanted. Bytes that aren't stored are never sent.
 * @returns why it isn't, in a sentence
 */
async function store(
  ctx: TreasuryContext,
  row: Sponsored,
  { id: paymentId, clusterId }: Payment,
  signed: SignedSponsored,
): Promise<string | null> {
  return await ctx.db.transaction(async (tx) => {
    if (clusterId !== null) await lockCluster(tx, clusterId);
    const [payment] = await tx.select().from(payments).where(eq(payments.id, paymentId)).for("no key update");
    if (payment?.status !== "pending" || payment.expiresAt <= ctx.clock.nowMs()) return "The reservation has ended.";
    const taken = await tx
      .update(sponsoredTransactions)
      .set({ status: "signed", signature: signed.signature, signedBase64: signed.transactionBase64 })
      .where(and(eq(sponsoredTransactions.id, row.id), eq(sponsoredTransactions.status, "requested")))
      .returning({ id: sponsoredTransactions.id });
    // Another worker was faster, with the same bytes.
    if (taken.length === 0) return null;
    const { signature, lamports } = signed;
    const over = await recordSigning(ctx, tx, {
      signature,
      purpose: "sponsor",
      reference: row.id,
      microUsdc: 0n,
      lamports,
    });
    if (over === null) await wake(tx, "payment", paymentId, ctx.clock.nowMs());
    else await setStatus(tx, row.id, "refused", over);
    return over;
  });
}

/** The answer may be lost while the transaction lands, so it is the status that tells, never this. */
async function send(ctx: TreasuryContext, id: string, transactionBase64: string): Promise<void> {
  try {
    await ctx.chain.sendTransaction(transactionBase64);
  } catch (error) {
    if (!(error instanceof ChainError)) throw error;
    ctx.logger.warn("a sponsored transaction could not be sent and will be tried again", {
      sponsored_id: id,
      reason: error.message,
    });
  }
}

async function follow(ctx: TreasuryContext, row: Sponsored): Promise<TaskOutcome> {
  const { signature, signedBase64 } = row;
  if (signature === null || signedBase64 === null) throw new Error(`sponsored transaction ${row.id} has no bytes`);
  if ((await ctx.chain.transaction(signature, "finalized")) !== null) {
    const landed = await ctx.chain.transaction(signature, "finalized", TWO_NODES);
    if (landed === null) return soon(ctx);
    return landed.failed
      ? await close(ctx, row, "failed", "The transaction failed on chain, so no money moved.")
      : await close(ctx, row, "settled", null);
  }
  if ((await ctx.chain.signatureStatus(signature)) !== null) return soon(ctx);
  if (await isExpired(ctx, row.lastValidBlockHeight, signature)) {
    return await close(
      ctx,
      row,
      "failed",
      "Its blockhash has expired before the transaction landed, so no money moved.",
    );
  }
  await send(ctx, row.id, signedBase64);
  return soon(ctx);
}

/** As for refunds: asked of two nodes, twice around, and in all their indexes. */
async function isExpired(ctx: TreasuryContext, lastValidBlockHeight: bigint, signature: string): Promise<boolean> {
  const height = await ctx.chain.blockHeight("finalized", TWO_NODES);
  if (height <= lastValidBlockHeight + EXPIRY_MARGIN_BLOCKS) return false;
  const { tokenAccount } = await treasuryAccount(ctx.settings);
  const listed = await ctx.chain.signaturesForAddress(tokenAccount, { limit: RECENT, commitment: "confirmed" });
  if (listed.some((entry) => entry.signature === signature)) return false;
  if ((await ctx.chain.transaction(signature, "confirmed", TWO_NODES)) !== null) return false;
  return (await ctx.chain.signatureStatus(signature, TWO_NODES)) === null;
}

/** The end. Of a payment that won't come any more the cluster is told, which then holds its machines no longer. */
async function close(
  ctx: TreasuryContext,
  row: Sponsored,
  status: "refused" | "settled" | "failed",
  reason: string | null,
): Promise<"done"> {
  await ctx.db.transaction(async (tx) => {
    await setStatus(tx, row.id, status, reason);
    const [payment] = await tx.select().from(payments).where(eq(payments.id, row.paymentId));
    if (status !== "settled" && payment?.clusterId != null) {
      await wake(tx, "cluster", payment.clusterId, ctx.clock.nowMs());
    }
  });
  if (status !== "settled") ctx.logger.warn("a sponsored transaction brings nothing", { sponsored_id: row.id, reason });
  return "done";
}

async function setStatus(
  tx: Transaction,
  id: string,
  status: Sponsored["status"],
  reason: string | null,
): Promise<void> {
  await tx.update(sponsoredTransactions).set({ status, reason }).where(eq(sponsoredTransactions.id, id));
}
