/** The task of kind `payment`: finds what was paid with a reference, from the reservation until a day after expiry. */
import { and, count, eq, inArray, isNotNull } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import { inboundTransfers, paymentNotices, payments, sponsoredTransactions } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { resolve } from "../../ledger/resolve.ts";
import { type SignatureInfo, TWO_NODES } from "../../ports/chain.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { confirmFinality } from "./confirm-finality.ts";
import { lastSafe } from "./last-safe.ts";
import { listSignatures } from "./list-signatures.ts";
import { FAILED_DETAIL, reject } from "./process-transaction.ts";
import { readNewTransactions } from "./read-new-transactions.ts";
import { treasuryAccount } from "./treasury-account.ts";
import type { TreasuryAccount } from "./verify-transaction.ts";

/** Of 1,000 signatures each; whoever poisons a reference with more only delays us until the sweep sees the money. */
const PAGES_MAX = 20;
const READ_PER_STEP = 2_000;
/** With fewer transactions than this the whole history is read each time, which no lagging node can mislead. */
const SKIP_FROM = 20;
/** A payment that landed just in time is seen a little later. */
const PENDING_GRACE_MS = 5_000;
/** A payment that was seen in time but isn't whole or final yet is looked at as often as before for so long. */
const GRACE_MS = 120_000;
/** After that the sweep of the treasury's account is enough. */
const WATCHED_AFTER_EXPIRY_MS = 24 * 3600 * 1000;
const PAUSE_MS_MAX = 300_000;

export async function watchPayment(ctx: Context, id: string): Promise<TaskOutcome> {
  const payment = await readPayment(ctx, id);
  if (payment === null || payment.reference === null || payment.status === "settled") return "done";
  const treasury = await treasuryAccount(ctx.settings);
  if (payment.rail === "x402") await readSponsored(ctx, treasury, id);
  else await scanReference(ctx, treasury, payment, payment.reference);
  if (payment.commitment === "finalized" && (await hasOpenTransfers(ctx, id))) {
    await confirmFinality(ctx, treasury, id);
  }
  const now = await readPayment(ctx, id);
  if (now === null || now.status === "settled") return "done";
  if (now.purpose !== "reserve" && isOver(now, ctx.clock.nowMs())) await expire(ctx, now);
  return nextLook(ctx, now);
}

async function readPayment(ctx: Context, id: string): Promise<PaymentRow | null> {
  const [payment] = await ctx.db.select().from(payments).where(eq(payments.id, id));
  return payment ?? null;
}

async function scanReference(
  ctx: Context,
  treasury: TreasuryAccount,
  payment: PaymentRow,
  reference: string,
): Promise<void> {
  const { entries, complete } = await listSignatures(ctx.chain, reference, {
    after: readPosition(payment.scannedUntil),
    pagesMax: PAGES_MAX,
    commitment: "confirmed",
  });
  await noteFailures(ctx, payment, entries);
  const { covered, unread } = await readNewTransactions(ctx, treasury, entries, READ_PER_STEP);
  if (!complete || entries.length < SKIP_FROM) return;
  const position = lastSafe(covered, unread, await ctx.chain.slot("finalized", TWO_NODES));
  if (position === null) return;
  const scannedUntil = `${position.slot}:${position.signature}`;
  await ctx.db.update(payments).set({ scannedUntil }).where(eq(payments.id, payment.id));
}

/** An x402 payment is one transaction, and we know which one as soon as the sponsor has signed it. */
async function readSponsored(ctx: Context, treasury: TreasuryAccount, paymentId: string): Promise<void> {
  const known = await ctx.db
    .select({ signature: sponsoredTransactions.signature })
    .from(sponsoredTransactions)
    .where(and(eq(sponsoredTransactions.paymentId, paymentId), isNotNull(sponsoredTransactions.signature)));
  const entries = known.flatMap(({ signature }) =>
    signature === null ? [] : [{ signature, slot: 0n, failed: false, blockTimeSeconds: null }],
  );
  await readNewTransactions(ctx, treasury, entries, READ_PER_STEP);
}

function readPosition(scannedUntil: string | null): { slot: bigint; signature: string } | undefined {
  const match = /^([0-9]+):(.+)$/.exec(scannedUntil ?? "");
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : { slot: BigInt(match[1]), signature: match[2] };
}

/** One is enough to tell the payer; anybody can make more of them. */
async function noteFailures(ctx: Context, payment: PaymentRow, entries: readonly SignatureInfo[]): Promise<void> {
  const failed = entries.find((entry) => entry.failed);
  if (failed === undefined) return;
  const isTold = and(eq(paymentNotices.paymentId, payment.id), eq(paymentNotices.code, "failed_transaction"));
  const [told] = await ctx.db.select({ count: count() }).from(paymentNotices).where(isTold);
  if ((told?.count ?? 0) > 0) return;
  await reject(ctx, payment, "failed_transaction", failed.signature, FAILED_DETAIL);
}

async function hasOpenTransfers(ctx: Context, paymentId: string): Promise<boolean> {
  const [open] = await ctx.db
    .select({ count: count() })
    .from(inboundTransfers)
    .where(and(eq(inboundTransfers.paymentId, paymentId), eq(inboundTransfers.finality, "confirmed")));
  return (open?.count ?? 0) > 0;
}

/** An extension or a top-up that nobody paid for lapses here; a reservation ends with its cluster. */
async function expire(ctx: Context, payment: PaymentRow): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    if (payment.clusterId !== null) await lockCluster(tx, payment.clusterId);
    const expired = await tx
      .update(payments)
      .set({ status: "expired" })
      .where(and(eq(payments.id, payment.id), inArray(payments.status, ["pending", "detected"])))
      .returning({ id: payments.id });
    if (expired.length > 0 && payment.holdTransferId !== null) await resolve(ctx, tx, payment.holdTransferId, 0n);
  });
}

const isOpen = (payment: PaymentRow) => payment.status === "pending" || payment.status === "detected";

const isOver = (payment: PaymentRow, nowMs: number) =>
  isOpen(payment) && nowMs > payment.expiresAt + (payment.status === "detected" ? GRACE_MS : PENDING_GRACE_MS);

function nextLook(ctx: Context, payment: PaymentRow): TaskOutcome {
  const nowMs = ctx.clock.nowMs();
  const { chainPollMs } = ctx.settings;
  const overdueMs = nowMs - payment.expiresAt;
  if (isOpen(payment) && overdueMs <= GRACE_MS) return { dueAtMs: nowMs + openPauseMs(payment, nowMs, chainPollMs) };
  if (overdueMs > WATCHED_AFTER_EXPIRY_MS) return "done";
  return { dueAtMs: nowMs + Math.min(PAUSE_MS_MAX, Math.max(chainPollMs, Math.round(overdueMs / 8))) };
}

/**
 * Machines wait for what a reservation waits for, and their number bounds it. Top-ups cost nobody anything, so what
 * isn't paid soon is left to the sweep more and more.
 */
function openPauseMs({ purpose, createdAt, expiresAt }: PaymentRow, nowMs: number, chainPollMs: number): number {
  if (purpose !== "topup") return chainPollMs;
  const untilOverMs = expiresAt + PENDING_GRACE_MS + 1 - nowMs;
  const restingMs = Math.round((nowMs - createdAt) / 16);
  return Math.max(chainPollMs, untilOverMs > 0 ? Math.min(restingMs, untilOverMs) : 0);
}
