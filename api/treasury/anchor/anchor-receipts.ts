/**
 * The task of kind `anchor`: when a day is over, the root over its receipts is written down, and into a memo on chain.
 * As with refunds the bytes are stored before they are sent, and new ones are signed when those can't land any more;
 * should both land after all, the chain says the same thing twice.
 */
import { and, asc, eq, isNull, lt, ne } from "drizzle-orm";
import type { Database } from "../../db/database.ts";
import { receiptAnchors, receipts, tasks } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { outboundBlocked } from "../../ledger/outbound-blocked.ts";
import { ChainError, TWO_NODES } from "../../ports/chain.ts";
import { DAY_MS, dayOf, lockDaysToClose } from "../../receipts/anchored-days.ts";
import { leavesOf } from "../../receipts/load-anchors.ts";
import { merkleRoot, merkleTree } from "../../receipts/merkle-tree.ts";
import { recordSigning } from "../record-signing.ts";
import type { TreasuryContext } from "../treasury-context.ts";

type Anchor = typeof receiptAnchors.$inferSelect;

/** A day is closed a little after its end, when no clock that is behind writes into it any more. */
const CLOSING_MS = 600_000;
const LIMITED_PAUSE_MS = 3_600_000;
const EXPIRY_MARGIN_BLOCKS = 32n;
const POLLS_PER_LOOK = 4;

/** What the memo says, and what whoever verifies a receipt looks for. */
export const anchorMemo = (day: string, root: string) => `volley-receipts:${day}:${root}`;

/** Planned once, however many treasuries start. */
export async function ensureAnchors(db: Database, nowMs: number): Promise<void> {
  await db.insert(tasks).values({ kind: "anchor", id: "days", dueAt: nowMs }).onConflictDoNothing();
}

export async function anchorReceipts(ctx: TreasuryContext, _id: string): Promise<TaskOutcome> {
  if (!ctx.settings.anchors) return "done";
  const nowMs = ctx.clock.nowMs();
  const soon = { dueAtMs: nowMs + POLLS_PER_LOOK * ctx.settings.chainPollMs };
  const anchor = (await openAnchor(ctx)) ?? (await closeDay(ctx));
  if (anchor === null) return { dueAtMs: nowMs - (nowMs % DAY_MS) + DAY_MS + CLOSING_MS };
  if (anchor.status === "sent") return (await follow(ctx, anchor)) ? { dueAtMs: nowMs } : soon;
  if ((await outboundBlocked(ctx.db)) !== null) return soon;
  return (await signAnchor(ctx, anchor)) ? soon : { dueAtMs: nowMs + LIMITED_PAUSE_MS };
}

async function openAnchor(ctx: TreasuryContext): Promise<Anchor | null> {
  const [anchor] = await ctx.db
    .select()
    .from(receiptAnchors)
    .where(ne(receiptAnchors.status, "finalized"))
    .orderBy(asc(receiptAnchors.day))
    .limit(1);
  return anchor ?? null;
}

/** The oldest day that is over, has receipts and no root. */
async function closeDay(ctx: TreasuryContext): Promise<Anchor | null> {
  const nowMs = ctx.clock.nowMs();
  return ctx.db.transaction(async (tx) => {
    await lockDaysToClose(tx);
    const [open] = await tx
      .select({ day: receipts.day })
      .from(receipts)
      .leftJoin(receiptAnchors, eq(receiptAnchors.day, receipts.day))
      .where(and(lt(receipts.day, dayOf(nowMs - CLOSING_MS)), isNull(receiptAnchors.day)))
      .orderBy(asc(receipts.day))
      .limit(1);
    if (open === undefined) return null;
    const leaves = await leavesOf(tx, open.day);
    const root = merkleRoot(merkleTree(leaves.map(({ hash }) => hash)));
    const [anchor] = await tx
      .insert(receiptAnchors)
      .values({ day: open.day, merkleRoot: root, leaves: leaves.length, status: "pending", createdAt: nowMs })
      .returning();
    return anchor ?? null;
  });
}

/** Signs, stores, and only then sends. False when the treasury's limits don't allow it now. */
async function signAnchor(ctx: TreasuryContext, anchor: Anchor): Promise<boolean> {
  const { day } = anchor;
  const { blockhash, lastValidBlockHeight } = await ctx.chain.latestBlockhash();
  const memo = anchorMemo(day, anchor.merkleRoot);
  const { signature, transactionBase64, lamports } = await ctx.signer.signAnchor({
    memo,
    blockhash,
    lastValidBlockHeight,
  });
  const refused = await ctx.db.transaction(async (tx) => {
    const [now] = await tx.select().from(receiptAnchors).where(eq(receiptAnchors.day, day)).for("no key update");
    // Another treasury was faster; its bytes are the ones.
    if (now?.status !== "pending") return null;
    const over = await recordSigning(ctx, tx, {
      signature,
      purpose: "anchor",
      reference: day,
      microUsdc: 0n,
      lamports,
    });
    if (over !== null) return over;
    await tx
      .update(receiptAnchors)
      .set({ status: "sent", signature, transactionBase64, lastValidBlockHeight })
      .where(eq(receiptAnchors.day, day));
    return null;
  });
  if (refused !== null) {
    ctx.logger.warn("a day's receipts wait for the treasury's limits", { day, reason: refused });
    return false;
  }
  const [stored] = await ctx.db.select().from(receiptAnchors).where(eq(receiptAnchors.day, day));
  if (stored !== undefined) await send(ctx, stored);
  return true;
}

async function send(ctx: TreasuryContext, { day, transactionBase64 }: Anchor): Promise<void> {
  if (transactionBase64 === null) return;
  try {
    await ctx.chain.sendTransaction(transactionBase64);
  } catch (error) {
    if (!(error instanceof ChainError)) throw error;
    ctx.logger.warn("a day's root could not be sent and will be tried again", { day, error });
  }
}

/** True when something has changed: it is final, or it has to be signed anew. */
async function follow(ctx: TreasuryContext, anchor: Anchor): Promise<boolean> {
  const { day, signature, lastValidBlockHeight } = anchor;
  if (signature === null || lastValidBlockHeight === null) throw new Error(`the anchor of ${day} was sent unsigned`);
  const isThis = and(eq(receiptAnchors.day, day), eq(receiptAnchors.signature, signature));
  const landed = await ctx.chain.transaction(signature, "finalized", TWO_NODES);
  if (landed !== null && !landed.failed) {
    await ctx.db.update(receiptAnchors).set({ status: "finalized" }).where(isThis);
    return true;
  }
  const height = await ctx.chain.blockHeight("finalized", TWO_NODES);
  const isDead = landed !== null || height > lastValidBlockHeight + EXPIRY_MARGIN_BLOCKS;
  if (isDead && (landed !== null || (await ctx.chain.signatureStatus(signature, TWO_NODES)) === null)) {
    await ctx.db.update(receiptAnchors).set({ status: "pending" }).where(isThis);
    return true;
  }
  await send(ctx, anchor);
  return false;
}
