/**
 * The task of kind `sponsor`: pays the fee of a payment that an x402 client has signed. The same bytes are stored once,
 * sent until they have landed or can't land any more, and then it is over, one way or the other: nothing is signed anew.
 */
import { eq } from "drizzle-orm";
import { type Transaction, wake } from "../../db/database.ts";
import { payments, sponsoredTransactions } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { treasuryAccount } from "../../payments/inbound/treasury-account.ts";
import { TransactionRefusal } from "../../payments/x402/check-transaction.ts";
import { ChainError, TWO_NODES } from "../../ports/chain.ts";
import type { SignedSponsored, SponsorSigner } from "../../ports/sponsor-signer.ts";
import { recordSigning } from "../record-signing.ts";
import type { TreasuryContext } from "../treasury-context.ts";
import { handOver, watchHandedOver } from "./hand-over.ts";
import { close, mayLand, type Sponsored, type SponsoredPayment, soon, takeRequested } from "./sponsored-row.ts";

/** Where no sponsor is, somebody else's worker does the work. */
const NO_SPONSOR_PAUSE_MS = 60_000;
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

async function sign(ctx: TreasuryContext, row: Sponsored): Promise<TaskOutcome> {
  const { sponsor, facilitator } = ctx;
  const [payment] = await ctx.db.select().from(payments).where(eq(payments.id, row.paymentId));
  if (payment === undefined) throw new Error(`sponsored transaction ${row.id} has no payment`);
  if ((await ctx.chain.blockHeight("confirmed")) > row.lastValidBlockHeight) {
    return await close(ctx, row, "refused", "Its blockhash has expired.");
  }
  const isRequest = row.purpose === "transaction_request";
  if (facilitator !== null && !isRequest) return await handOver(ctx, facilitator, row, payment);
  if (facilitator !== null) return await close(ctx, row, "refused", "Nobody pays the fees of transaction requests.");
  if (sponsor === null) return { dueAtMs: ctx.clock.nowMs() + NO_SPONSOR_PAUSE_MS };
  const signed = await trySign(ctx, sponsor, row, payment);
  if (typeof signed === "string") return await close(ctx, row, "refused", signed);
  const stored = await store(ctx, row, payment, signed);
  if (stored === "taken") return soon(ctx);
  if (stored !== "ours") return await close(ctx, row, "refused", stored.refused);
  if (!isRequest) await send(ctx, row.id, signed.transactionBase64);
  return soon(ctx);
}

/** @returns why the signer refuses, in a sentence */
async function trySign(
  ctx: TreasuryContext,
  sponsor: SponsorSigner,
  row: Sponsored,
  payment: SponsoredPayment,
): Promise<SignedSponsored | string> {
  const isRequest = row.purpose === "transaction_request";
  const reference = isRequest ? payment.reference : null;
  if (isRequest && reference === null) return "The payment has no reference.";
  const amountMicroUsdc = payment.amountMicroUsdc - (isRequest ? payment.receivedMicroUsdc : 0n);
  try {
    // To our own wallet, whatever the rows say.
    const payTo = ctx.settings.treasuryAddress;
    return await sponsor.sign(row.transactionBase64, { payTo, amountMicroUsdc, reference });
  } catch (error) {
    if (error instanceof TransactionRefusal) return error.message;
    throw error;
  }
}

/**
 * Counts and stores what was signed. Bytes that aren't stored are never sent.
 * @returns `taken` when another worker was faster: what it has stored is sent, and what it has refused isn't
 */
async function store(
  ctx: TreasuryContext,
  row: Sponsored,
  payment: SponsoredPayment,
  signed: SignedSponsored,
): Promise<"ours" | "taken" | { readonly refused: string }> {
  return await ctx.db.transaction(async (tx) => {
    const taken = await takeRequested(ctx, tx, row, payment, signed);
    if (taken === "gone") return { refused: "The reservation has ended." };
    if (taken === "taken") return "taken";
    const { signature, lamports } = signed;
    const over = await recordSigning(row.purpose === "x402" ? ctx : withHalfTheDay(ctx), tx, {
      signature,
      purpose: "sponsor",
      reference: row.id,
      microUsdc: 0n,
      lamports,
    });
    if (over === null) {
      await wake(tx, "payment", payment.id, ctx.clock.nowMs());
      return "ours";
    }
    await discard(tx, row.id);
    return { refused: over };
  });
}

/** A transaction request costs whoever asks for it nothing, so they may not spend what signed payments need. */
function withHalfTheDay(ctx: TreasuryContext): TreasuryContext {
  const { settings } = ctx;
  const limits = { ...settings.limits, dayMaxLamports: settings.limits.dayMaxLamports / 2n };
  return { ...ctx, settings: { ...settings, limits } };
}

/** Bytes over a limit are nobody's, whoever can read the row. */
async function discard(tx: Transaction, id: string): Promise<void> {
  const unsigned = { status: "requested" as const, signature: null, signedBase64: null };
  await tx.update(sponsoredTransactions).set(unsigned).where(eq(sponsoredTransactions.id, id));
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
  if (signature === null || signedBase64 === null) return await watchHandedOver(ctx, row);
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
  // What its payer hasn't signed can't be sent by us.
  if (row.purpose === "x402") await send(ctx, row.id, signedBase64);
  return soon(ctx);
}

/** As for refunds: asked of two nodes, twice around, and in all their indexes. */
async function isExpired(ctx: TreasuryContext, lastValidBlockHeight: bigint, signature: string): Promise<boolean> {
  if (await mayLand(ctx, lastValidBlockHeight)) return false;
  const { tokenAccount } = await treasuryAccount(ctx.settings);
  const listed = await ctx.chain.signaturesForAddress(tokenAccount, { limit: RECENT, commitment: "confirmed" });
  if (listed.some((entry) => entry.signature === signature)) return false;
  if ((await ctx.chain.transaction(signature, "confirmed", TWO_NODES)) !== null) return false;
  return (await ctx.chain.signatureStatus(signature, TWO_NODES)) === null;
}
