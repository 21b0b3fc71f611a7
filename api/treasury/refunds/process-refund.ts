/**
 * The task of kind `refund`: one refund is one chain of signed bytes. The bytes are stored before they are sent, and
 * the same bytes are sent until they are final. Only when their blockhash has expired at `finalized` on two nodes and
 * no index of theirs knows them are new ones signed: two transactions that can both land never exist.
 */

import { isVolleyError } from "@volley/schema/errors";
import { toMoney } from "@volley/schema/money";
import type { EventType } from "@volley/schema/resources/cluster";
import { and, count, desc, eq, isNull, lte, or } from "drizzle-orm";
import { type ClusterRow, lockCluster } from "../../clusters/open-cluster.ts";
import type { Transaction } from "../../db/database.ts";
import { clusters, inboundTransfers, payments, refundAttempts, refunds } from "../../db/tables.ts";
import { appendEvent } from "../../events/append.ts";
import { isAddressAllowed } from "../../identity/screen-address.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { CHAIN_ACCOUNT, refundAccount } from "../../ledger/accounts.ts";
import { outboundBlocked } from "../../ledger/outbound-blocked.ts";
import { post } from "../../ledger/post.ts";
import { wakeCardsOf } from "../../payments/cards/wake-cards.ts";
import { treasuryAccount } from "../../payments/inbound/treasury-account.ts";
import { type RefundRow, toBillRefund } from "../../payments/refunds/begin-refund.ts";
import { checkRefundAddress } from "../../payments/refunds/check-refund-address.ts";
import { forgetRefundAddress } from "../../payments/refunds/forget-refund-address.ts";
import { clearHeldAlarm } from "../../payments/refunds/held-alarm.ts";
import { isUnsigned } from "../../payments/refunds/is-unsigned.ts";
import { sendRest } from "../../payments/refunds/refund-rest.ts";
import { returnToCredit } from "../../payments/refunds/return-to-credit.ts";
import { updateBillRefund } from "../../payments/refunds/update-bill-refund.ts";
import { ChainError, TWO_NODES } from "../../ports/chain.ts";
import { overTransactionLimit, recordSigning } from "../record-signing.ts";
import type { TreasuryContext } from "../treasury-context.ts";
import { accountOf, frozenReason } from "./frozen-reason.ts";
import { holdRefund, type Obstacle } from "./hold-refund.ts";
import { treasuryShort } from "./treasury-short.ts";

type Attempt = typeof refundAttempts.$inferSelect;

/** Beyond the last height at which the blockhash was valid: nodes that lag by so much aren't believed anyway. */
const EXPIRY_MARGIN_BLOCKS = 32n;
/** Nodes send on by themselves; ours is for when they have forgotten. */
const POLLS_PER_LOOK = 2;
const FAILED_PAUSE_MS = 30_000;
const RECENT = 1_000;
/** Of the process that writes down what comes and the one that begins refunds. */
const CLOCKS_APART_MS = 60_000;

export async function processRefund(ctx: TreasuryContext, id: string): Promise<TaskOutcome> {
  const [refund] = await ctx.db.select().from(refunds).where(eq(refunds.id, id));
  if (refund === undefined || refund.status === "finalized" || refund.status === "cancelled") return "done";
  const nowMs = ctx.clock.nowMs();
  const soon = { dueAtMs: nowMs + POLLS_PER_LOOK * ctx.settings.chainPollMs };
  const attempt = await liveAttempt(ctx, id);
  if (attempt !== null) return await follow(ctx, refund, attempt, soon);
  if (refund.notBefore > nowMs) return { dueAtMs: refund.notBefore };
  if (await hasUnfinishedMoney(ctx, refund)) return soon;
  if (await finalizeBuried(ctx, refund)) return "done";
  const obstacle = await obstacleOf(ctx, refund);
  if (obstacle === "returned") return "done";
  if (obstacle !== null) return await holdRefund(ctx, refund, obstacle);
  const signed = await signAttempt(ctx, refund);
  if (signed === null) return soon;
  if ("reason" in signed) return await holdRefund(ctx, refund, signed);
  await send(ctx, signed);
  return soon;
}

/** What stands in the way of signing; it goes on by itself when that is gone. */
async function obstacleOf(ctx: TreasuryContext, refund: RefundRow): Promise<Obstacle | "returned" | null> {
  const blocked = await outboundBlocked(ctx.db);
  if (blocked !== null) return { reason: blocked, raisesAlarm: false };
  const frozen = await frozenReason(ctx.db, refund);
  if (frozen !== null) {
    if (refund.customerId === null || (await hasAttempts(ctx, refund))) return { reason: frozen, raisesAlarm: true };
    await returnToBalance(ctx, refund);
    return "returned";
  }
  const screened = { address: refund.toAddress, subject: refund.kind, reference: refund.id };
  if (!(await isAddressAllowed(ctx, ctx.db, screened))) {
    return { reason: `The address is on the sanctions list of ${ctx.screening?.listDate}.`, raisesAlarm: true };
  }
  const unable = await unableToReceive(ctx, refund);
  if (unable === null) {
    const short = await treasuryShort(ctx, refund.amountMicroUsdc);
    return short === null ? null : { reason: short, raisesAlarm: true };
  }
  // Bytes that are dead have gone out, so its holder may have been told that it was sent: it waits for the address.
  if (await hasAttempts(ctx, refund)) return { reason: unable, raisesAlarm: true };
  await returnUnable(ctx, refund);
  return "returned";
}

async function liveAttempt(ctx: TreasuryContext, refundId: string): Promise<Attempt | null> {
  const [attempt] = await ctx.db
    .select()
    .from(refundAttempts)
    .where(and(eq(refundAttempts.refundId, refundId), isNull(refundAttempts.deadAt)));
  return attempt ?? null;
}

/**
 * Only money that no fork can take away any more is sent on; an account's goes back and forth between its balance and
 * its clusters. What came after the refund was begun isn't in it: else whoever sends dust in time could hold it up for
 * ever. What suppliers have earned is long final.
 */
async function hasUnfinishedMoney(ctx: TreasuryContext, refund: RefundRow): Promise<boolean> {
  const { clusterId } = refund;
  const customerId = await accountOf(ctx.db, refund);
  const owned = [
    ...(clusterId === null ? [] : [eq(payments.clusterId, clusterId)]),
    ...(customerId === null ? [] : [eq(payments.customerId, customerId), eq(clusters.customerId, customerId)]),
  ];
  if (owned.length === 0) return false;
  const [open] = await ctx.db
    .select({ count: count() })
    .from(inboundTransfers)
    .innerJoin(payments, eq(payments.id, inboundTransfers.paymentId))
    .leftJoin(clusters, eq(clusters.id, payments.clusterId))
    .where(
      and(
        or(...owned),
        eq(inboundTransfers.finality, "confirmed"),
        lte(inboundTransfers.createdAt, refund.createdAt + CLOCKS_APART_MS),
      ),
    );
  return (open?.count ?? 0) > 0;
}

/** @returns why the address can't receive USDC; null when it can */
async function unableToReceive(ctx: TreasuryContext, refund: RefundRow): Promise<string | null> {
  try {
    // One node's word must not turn the money back.
    await checkRefundAddress(ctx, refund.toAddress, TWO_NODES);
    return null;
  } catch (error) {
    if (!isVolleyError(error) || error.code !== "address_invalid") throw error;
    return error.message;
  }
}

async function hasAttempts(ctx: TreasuryContext, { id }: RefundRow): Promise<boolean> {
  const found = await ctx.db.select().from(refundAttempts).where(eq(refundAttempts.refundId, id)).limit(1);
  return found.length > 0;
}

/**
 * Reserving knows addresses by their form alone. One that turns out to be a token account or a program would swallow
 * the money, so it goes back to where it came from, for its holder to name a better address.
 */
async function returnUnable(ctx: TreasuryContext, refund: RefundRow): Promise<void> {
  ctx.logger.warn("a refund's address can't receive USDC; the money is credit again", { refund_id: refund.id });
  await ctx.db.transaction(async (tx) => {
    const cluster = await lockOwner(tx, refund);
    const now = await lockRefund(tx, refund.id);
    if (now === null || !(await isUnsigned(tx, now))) return;
    await returnToCredit(ctx, tx, now);
    if (cluster !== null) await forgetRefundAddress(tx, cluster, now.toAddress);
  });
  notifyOwner(ctx, refund);
}

/** What a frozen account was about to send is its balance again, where a card payment that is taken back finds it. */
async function returnToBalance(ctx: TreasuryContext, refund: RefundRow): Promise<void> {
  ctx.logger.warn("a frozen account's refund is cancelled; the money is balance again", { refund_id: refund.id });
  await ctx.db.transaction(async (tx) => {
    await lockOwner(tx, refund);
    const now = await lockRefund(tx, refund.id);
    if (now === null || !(await isUnsigned(tx, now))) return;
    await returnToCredit(ctx, tx, now);
    if (now.customerId !== null) await wakeCardsOf(tx, now.customerId, ctx.clock.nowMs());
  });
  notifyOwner(ctx, refund);
}

/** An attempt that was taken for dead has landed after all: against every expectation, so it is looked for. */
async function finalizeBuried(ctx: TreasuryContext, refund: RefundRow): Promise<boolean> {
  const dead = await ctx.db.select().from(refundAttempts).where(eq(refundAttempts.refundId, refund.id));
  for (const attempt of dead) {
    const landed = await ctx.chain.transaction(attempt.signature, "finalized", TWO_NODES);
    if (landed === null || landed.failed) continue;
    ctx.logger.error("a refund attempt landed that had been taken for dead", { refund_id: refund.id });
    await finalize(ctx, refund, attempt);
    return true;
  }
  return false;
}

/**
 * Signs, counts and stores. Null when another worker was faster; then its bytes are the ones. Bytes that aren't stored
 * are never sent.
 */
async function signAttempt(ctx: TreasuryContext, refund: RefundRow): Promise<Attempt | Obstacle | null> {
  const { id: refundId, kind: purpose, amountMicroUsdc } = refund;
  const { blockhash, lastValidBlockHeight } = await ctx.chain.latestBlockhash();
  const order = { refundId, to: refund.toAddress, amountMicroUsdc, blockhash, lastValidBlockHeight };
  const over = overTransactionLimit(ctx, amountMicroUsdc);
  if (over !== null) return { reason: over, raisesAlarm: true };
  const { signature, transactionBase64, lamports } = await ctx.signer.signRefund(order);
  return await ctx.db.transaction(async (tx) => {
    const cluster = await lockOwner(tx, refund);
    const now = await lockRefund(tx, refundId);
    if (now === null || now.status === "finalized" || now.status === "cancelled") return null;
    const [last] = await tx
      .select()
      .from(refundAttempts)
      .where(eq(refundAttempts.refundId, refundId))
      .orderBy(desc(refundAttempts.attempt))
      .limit(1);
    if (last !== undefined && last.deadAt === null) return null;
    // Asked again under locks: an account that is frozen, or an alarm that is raised, meanwhile.
    const blocked = (await frozenReason(tx, refund)) ?? (await outboundBlocked(tx));
    if (blocked !== null) return { reason: blocked, raisesAlarm: false };
    const signing = { signature, purpose, reference: refundId, microUsdc: amountMicroUsdc, lamports };
    const overLimit = await recordSigning(ctx, tx, signing);
    if (overLimit !== null) return { reason: overLimit, raisesAlarm: true };
    const attempt = (last?.attempt ?? 0) + 1;
    const values = { refundId, attempt, signature, transactionBase64, lastValidBlockHeight };
    const [stored] = await tx
      .insert(refundAttempts)
      .values({ ...values, createdAt: ctx.clock.nowMs() })
      .returning();
    await tx.update(refunds).set({ status: "sent", reason: null }).where(eq(refunds.id, refundId));
    await clearHeldAlarm(tx);
    if (last === undefined) {
      await tell(ctx, tx, cluster, { ...now, status: "sent" }, "refund.sent", { refund_id: refundId, signature });
    }
    return stored ?? null;
  });
}

async function lockRefund(tx: Transaction, id: string): Promise<RefundRow | null> {
  const [refund] = await tx.select().from(refunds).where(eq(refunds.id, id)).for("no key update");
  return refund ?? null;
}

/** The answer may be lost while the transaction lands, so it is the status that tells, never this. */
async function send(ctx: TreasuryContext, attempt: Attempt): Promise<void> {
  try {
    await ctx.chain.sendTransaction(attempt.transactionBase64);
  } catch (error) {
    if (!(error instanceof ChainError)) throw error;
    ctx.logger.warn("a refund could not be sent and will be tried again", { refund_id: attempt.refundId, error });
  }
}

async function follow(
  ctx: TreasuryContext,
  refund: RefundRow,
  attempt: Attempt,
  soon: TaskOutcome,
): Promise<TaskOutcome> {
  if ((await ctx.chain.transaction(attempt.signature, "finalized")) !== null) {
    const landed = await ctx.chain.transaction(attempt.signature, "finalized", TWO_NODES);
    if (landed === null) return soon;
    if (!landed.failed) {
      await finalize(ctx, refund, attempt);
      return "done";
    }
    await bury(ctx, attempt, "a refund failed on chain and will be signed anew");
    return { dueAtMs: ctx.clock.nowMs() + FAILED_PAUSE_MS };
  }
  const status = await ctx.chain.signatureStatus(attempt.signature);
  if (status !== null) return soon;
  if (await isExpired(ctx, attempt)) {
    await bury(ctx, attempt, "a refund's blockhash has expired; it will be signed anew");
    return { dueAtMs: ctx.clock.nowMs() };
  }
  // What was stored and perhaps never sent waits too.
  if ((await outboundBlocked(ctx.db)) === null) await send(ctx, attempt);
  return soon;
}

/**
 * Asked of two nodes, twice around, and in all their indexes: what was signed must not be able to land any more, or
 * signing anew would pay twice.
 */
async function isExpired(ctx: TreasuryContext, attempt: Attempt): Promise<boolean> {
  const height = await ctx.chain.blockHeight("finalized", TWO_NODES);
  if (height <= attempt.lastValidBlockHeight + EXPIRY_MARGIN_BLOCKS) return false;
  const { tokenAccount } = await treasuryAccount(ctx.settings);
  const listed = await ctx.chain.signaturesForAddress(tokenAccount, { limit: RECENT, commitment: "confirmed" });
  if (listed.some((entry) => entry.signature === attempt.signature)) return false;
  if ((await ctx.chain.transaction(attempt.signature, "confirmed", TWO_NODES)) !== null) return false;
  return (await ctx.chain.signatureStatus(attempt.signature, TWO_NODES)) === null;
}

async function bury(ctx: TreasuryContext, attempt: Attempt, message: string): Promise<void> {
  const { refundId, signature } = attempt;
  ctx.metrics.count("volley_refund_attempts_dead_total");
  ctx.logger.warn(message, { refund_id: refundId, signature, attempt: attempt.attempt });
  await ctx.db
    .update(refundAttempts)
    .set({ deadAt: ctx.clock.nowMs() })
    .where(and(eq(refundAttempts.refundId, refundId), eq(refundAttempts.attempt, attempt.attempt)));
}

async function finalize(ctx: TreasuryContext, refund: RefundRow, attempt: Attempt): Promise<void> {
  const { signature } = attempt;
  await ctx.db.transaction(async (tx) => {
    const cluster = await lockOwner(tx, refund);
    const now = await lockRefund(tx, refund.id);
    if (now === null || now.status === "finalized") return;
    await post(ctx, tx, {
      debit: refundAccount(refund.id),
      credit: CHAIN_ACCOUNT,
      amountMicroUsdc: now.amountMicroUsdc,
      reason: now.kind,
      reference: refund.id,
    });
    await tx
      .update(refunds)
      .set({ status: "finalized", reason: null, signature, finalizedAt: ctx.clock.nowMs() })
      .where(eq(refunds.id, refund.id));
    await clearHeldAlarm(tx);
    await tell(ctx, tx, cluster, { ...now, status: "finalized", signature }, "refund.finalized", {
      refund_id: refund.id,
      amount: toMoney(now.amountMicroUsdc),
      to: now.toAddress,
      signature,
    });
    // What has come while this one was under way.
    if (cluster !== null && cluster.bill !== null && cluster.refundAddress !== null) {
      await updateBillRefund(tx, cluster, await sendRest(ctx, tx, cluster.id, cluster.refundAddress));
    }
  });
  notifyOwner(ctx, refund);
}

/** Locks the cluster that the money was paid for; balances and earnings have none. */
async function lockOwner(tx: Transaction, { clusterId }: RefundRow): Promise<ClusterRow | null> {
  return clusterId === null ? null : await lockCluster(tx, clusterId);
}

function notifyOwner(ctx: TreasuryContext, { clusterId }: RefundRow): void {
  if (clusterId !== null) ctx.hints.notify(`cluster:${clusterId}`);
}

/** The cluster's bill names the refund that it led to, as it is now; its log says what happened. */
async function tell(
  ctx: TreasuryContext,
  tx: Transaction,
  cluster: ClusterRow | null,
  refund: RefundRow,
  type: EventType,
  data: Readonly<Record<string, unknown>>,
): Promise<void> {
  if (cluster === null) return;
  await appendEvent(ctx, tx, cluster.id, type, data);
  if (cluster.bill?.refund.id !== refund.id) return;
  const bill = { ...cluster.bill, refund: toBillRefund(refund) };
  await tx.update(clusters).set({ bill }).where(eq(clusters.id, cluster.id));
}
