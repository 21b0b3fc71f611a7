/**
 * The tasks of kind `treasury`. `usdc` reads the history of our own token account, so that every USDC that reaches us
 * is in the books, with or without a reference. `balance` compares the account with the ledger, and has the history
 * read again when something is missing, because nodes leave transactions out of their lists: first what came since the
 * two last agreed, and if that doesn't explain it, all of it.
 */
import { inArray } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { wake } from "../../db/database.ts";
import { chainCursors, tasks } from "../../db/tables.ts";
import type { TaskOutcome } from "../../jobs/engine.ts";
import { TWO_NODES } from "../../ports/chain.ts";
import { moveCursor, readCursor } from "./chain-cursor.ts";
import { compareBalance } from "./compare-balance.ts";
import { confirmFinality } from "./confirm-finality.ts";
import { lastSafe } from "./last-safe.ts";
import { listSignatures } from "./list-signatures.ts";
import { readNewTransactions } from "./read-new-transactions.ts";
import { treasuryAccount } from "./treasury-account.ts";

const SWEEP = "usdc";
const BALANCE = "balance";
/** Of 1,000 signatures each. */
const PAGES_MAX = 100;
/** How many transactions one step reads, so that its progress is kept. */
const READ_PER_STEP = 500;
/** How much rarer the whole account is read than a single open payment. */
const POLLS_PER_SWEEP = 4;
const BALANCE_INTERVAL_MS = 600_000;
/** A transaction that no node could show for so long no longer holds up what came after it. */
const UNREAD_MS_MAX = 600_000;

export async function sweepTreasury(ctx: Context, id: string): Promise<TaskOutcome> {
  if (id === BALANCE) return checkBalance(ctx);
  await ensureBalanceTask(ctx);
  const treasury = await treasuryAccount(ctx.settings);
  const name = treasury.tokenAccount;
  const after = await readCursor(ctx, name);
  const { entries, complete } = await listSignatures(ctx.chain, name, {
    after,
    pagesMax: PAGES_MAX,
    commitment: "confirmed",
  });
  if (!complete) ctx.logger.warn("the treasury's history could not be listed whole", { listed: entries.length });
  const { covered, unread } = await readNewTransactions(ctx, treasury, entries, READ_PER_STEP);
  const hasUnconfirmed = await confirmFinality(ctx, treasury);

  const nowMs = ctx.clock.nowMs();
  const holding = unread.filter(({ blockTimeSeconds }) => nowMs - (blockTimeSeconds ?? 0) * 1000 < UNREAD_MS_MAX);
  const position = complete ? lastSafe(covered, holding, await ctx.chain.slot("finalized", TWO_NODES)) : null;
  if (position !== null) await moveCursor(ctx, name, position);
  const hasMore = covered.length < entries.length && position !== null;
  return { dueAtMs: hasMore || hasUnconfirmed ? nowMs : nowMs + POLLS_PER_SWEEP * ctx.settings.chainPollMs };
}

async function ensureBalanceTask(ctx: Context): Promise<void> {
  const dueAt = ctx.clock.nowMs() + BALANCE_INTERVAL_MS;
  await ctx.db.insert(tasks).values({ kind: "treasury", id: BALANCE, dueAt }).onConflictDoNothing();
}

async function checkBalance(ctx: Context): Promise<TaskOutcome> {
  const { tokenAccount } = await treasuryAccount(ctx.settings);
  const agreedName = `${tokenAccount}:agreed`;
  // Asked first: the sweep may go on while the two are compared.
  const swept = await readCursor(ctx, tokenAccount);
  const comparison = await compareBalance(ctx, "finalized");
  const { differenceMicroUsdc } = comparison;
  ctx.metrics.gauge("volley_chain_ledger_difference_micro_usdc", Number(differenceMicroUsdc));
  if (differenceMicroUsdc === 0n) {
    if (swept !== undefined) await moveCursor(ctx, agreedName, swept);
  } else {
    const agreed = await readCursor(ctx, agreedName);
    ctx.logger.error("the treasury's account and the ledger differ; its history is read again", {
      chain_micro_usdc: comparison.chainMicroUsdc.toString(),
      ledger_micro_usdc: comparison.ledgerMicroUsdc.toString(),
      difference_micro_usdc: differenceMicroUsdc.toString(),
      read_from_slot: agreed?.slot.toString() ?? "the first",
    });
    await ctx.db.delete(chainCursors).where(inArray(chainCursors.name, [tokenAccount, agreedName]));
    if (agreed !== undefined) await moveCursor(ctx, tokenAccount, agreed);
    await wake(ctx.db, "treasury", SWEEP, ctx.clock.nowMs());
  }
  return { dueAtMs: ctx.clock.nowMs() + BALANCE_INTERVAL_MS };
}
