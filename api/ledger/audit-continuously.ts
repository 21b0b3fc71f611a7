/**
 * The task of kind `audit`: compares the books with the money, and with themselves, for ever, and raises alarms. It
 * never repairs anything. `money` looks at the chain and at what is overdue each interval; `books` recounts the whole
 * ledger, and rests in between for so long that it costs a twentieth of one connection's time at most; `cards` goes
 * through what the card processor has taken, hourly.
 */
import { formatUsdc } from "@volley/schema/money";
import type { Context } from "../context.ts";
import { type Database, wake } from "../db/database.ts";
import { tasks } from "../db/tables.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import { compareCards } from "../payments/cards/compare-cards.ts";
import { type BalanceComparison, compareBalance } from "../payments/inbound/compare-balance.ts";
import type { CardProcessor } from "../ports/card-processor.ts";
import { setAlarm } from "./alarms.ts";
import { auditCapacity } from "./audit-capacity.ts";
import { auditLedger } from "./audit-ledger.ts";
import { auditOverdue } from "./audit-overdue.ts";
import type { AuditResult } from "./audit-result.ts";
import { auditTreasuryAccount } from "./audit-treasury-account.ts";

const AUDIT_TASKS = ["money", "books", "cards"] as const;
const CARDS_INTERVAL_MS = 3_600_000;
const CARDS_PAUSE_MS = 15_000;
const DIFFERENCES_SHOWN_MAX = 10;

/** The ledger and the chain are not read in one moment, so only a difference that is there at every look is one. */
const LOOKS = 4;
/** In which the sweep has seen everything once more. */
const POLLS_BETWEEN_LOOKS = 8;
const REST_PER_WORK = 20;

/** An audit that is planned already keeps its time, however often a process starts. */
export async function ensureAudits(db: Database, nowMs: number): Promise<void> {
  const planned = AUDIT_TASKS.map((id) => ({ kind: "audit" as const, id, dueAt: nowMs }));
  await db.insert(tasks).values(planned).onConflictDoNothing();
}

export async function auditContinuously(ctx: Context, id: string): Promise<TaskOutcome> {
  const startedMs = ctx.clock.nowMs();
  const intervalMs = ctx.settings.auditIntervalSeconds * 1000;
  if (id === "books") {
    await auditBooks(ctx);
    const workedMs = ctx.clock.nowMs() - startedMs;
    return { dueAtMs: ctx.clock.nowMs() + Math.max(intervalMs, REST_PER_WORK * workedMs) };
  }
  if (id === "cards") {
    if (ctx.cards !== null) await auditCards(ctx, ctx.cards);
    return { dueAtMs: ctx.clock.nowMs() + CARDS_INTERVAL_MS };
  }
  const overdue = await auditOverdue(ctx);
  await setAlarm(ctx, "task_stuck", problemOf([overdue.taskStuck]));
  await setAlarm(ctx, "outbound_overdue", problemOf([overdue.outboundOverdue]));
  await setAlarm(ctx, "cluster_overdue", problemOf([overdue.clusterOverdue]));
  await setAlarm(ctx, "receipt_missing", problemOf([overdue.receiptMissing]));
  await setAlarm(ctx, "treasury_account_unusable", await auditTreasuryAccount(ctx));
  await auditChainBalance(ctx);
  return { dueAtMs: ctx.clock.nowMs() + intervalMs };
}

async function auditBooks(ctx: Context): Promise<void> {
  await setAlarm(ctx, "ledger_rule_broken", problemOf(await auditLedger(ctx)));
  await setAlarm(ctx, "capacity_rule_broken", problemOf(await auditCapacity(ctx)));
}

/** A notice may be late or lost, so what differs is asked for by its own task before it counts as a difference. */
async function auditCards(ctx: Context, cards: CardProcessor): Promise<void> {
  for (let look = 1; ; look++) {
    const differences = await compareCards(ctx, cards);
    if (differences.length === 0) return await setAlarm(ctx, "cards_differ", null);
    if (look === LOOKS) {
      const shown = differences.slice(0, DIFFERENCES_SHOWN_MAX).map(({ detail }) => detail);
      return await setAlarm(ctx, "cards_differ", `${differences.length} differ:\n${shown.join("\n")}`);
    }
    for (const { paymentId } of differences) await wake(ctx.db, "card", paymentId, ctx.clock.nowMs());
    ctx.hints.notify("tasks");
    await ctx.clock.sleep(CARDS_PAUSE_MS, ctx.signal);
  }
}

async function auditChainBalance(ctx: Context): Promise<void> {
  const compared = await lastingDifference(ctx);
  ctx.metrics.gauge("volley_chain_ledger_difference_micro_usdc", Number(compared.differenceMicroUsdc));
  await setAlarm(ctx, "chain_differs", compared.differenceMicroUsdc === 0n ? null : describe(compared));
  // Transactions that no node had listed are the innocent cause: the history is read again.
  if (compared.differenceMicroUsdc > 0n) await wake(ctx.db, "treasury", "balance", ctx.clock.nowMs());
}

/** Of several looks the first without a difference; if none is, the last. */
async function lastingDifference(ctx: Context): Promise<BalanceComparison> {
  for (let look = 1; ; look++) {
    const compared = await compareBalance(ctx, "finalized");
    if (compared.differenceMicroUsdc === 0n || look === LOOKS) return compared;
    await ctx.clock.sleep(POLLS_BETWEEN_LOOKS * ctx.settings.chainPollMs, ctx.signal);
  }
}

function describe(compared: BalanceComparison): string {
  const missing = compared.differenceMicroUsdc < 0n;
  const amount = formatUsdc(missing ? -compared.differenceMicroUsdc : compared.differenceMicroUsdc);
  return (
    `the treasury's account holds ${formatUsdc(compared.chainMicroUsdc)} USDC at a finalized slot, ` +
    `${amount} ${missing ? "less" : "more"} than the ledger explains`
  );
}

function problemOf(results: readonly AuditResult[]): string | null {
  const broken = results.filter((result) => !result.holds);
  return broken.length === 0 ? null : broken.map(({ name, detail }) => `${name}: ${detail}`).join("\n");
}
