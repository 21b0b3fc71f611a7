import { formatUsdc } from "@volley/schema/money";
import { and, asc, eq, gt, inArray } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { cardPayments } from "../../db/tables.ts";
import { smaller } from "../../ledger/smaller.ts";
import type { CardProcessor, CardState } from "../../ports/card-processor.ts";
import type { CardRow } from "./apply-card-state.ts";
import { fromMinor } from "./card-amount.ts";

/** Longer than any card scheme lets a payer dispute a payment. */
export const CARD_WATCH_MS = 180 * 86_400_000;

export interface CardDifference {
  readonly paymentId: string;
  readonly detail: string;
}

/** A page is opened at the processor a moment after, or before, its row is written. */
const OPENED_APART_MS = 86_400_000;
const ROWS_AT_ONCE = 1_000;

/** What the processor has taken for us and given back where the books say otherwise, and what only the books have. */
export async function compareCards(ctx: Context, cards: CardProcessor): Promise<CardDifference[]> {
  const sinceMs = ctx.clock.nowMs() - CARD_WATCH_MS;
  const differences: CardDifference[] = [];
  const taken = new Set<string>();
  for await (const page of cards.completed(sinceMs)) {
    ctx.signal.throwIfAborted();
    const paid = page.filter((state) => state.paid);
    const bySession = await rowsOf(
      ctx,
      paid.map((state) => state.sessionId),
    );
    for (const state of paid) {
      taken.add(state.sessionId);
      const difference = differenceOf(state, bySession.get(state.sessionId));
      if (difference !== null) differences.push(difference);
    }
  }
  for await (const row of paidRows(ctx, sinceMs + OPENED_APART_MS)) {
    if (!taken.has(row.sessionId)) differences.push(onlyOurs(row));
  }
  return differences;
}

async function rowsOf(ctx: Context, sessionIds: readonly string[]): Promise<Map<string, CardRow>> {
  if (sessionIds.length === 0) return new Map();
  const kept = await ctx.db.select().from(cardPayments).where(inArray(cardPayments.sessionId, sessionIds));
  return new Map(kept.map((row) => [row.sessionId, row]));
}

async function* paidRows(ctx: Context, sinceMs: number): AsyncGenerator<CardRow> {
  for (let after = ""; ; ) {
    const isNext = gt(cardPayments.sessionId, after);
    const page = await ctx.db
      .select()
      .from(cardPayments)
      .where(and(isNext, eq(cardPayments.status, "paid"), gt(cardPayments.createdAt, sinceMs)))
      .orderBy(asc(cardPayments.sessionId))
      .limit(ROWS_AT_ONCE);
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.sessionId;
  }
}

function onlyOurs({ paymentId, sessionId, amountMinor }: CardRow): CardDifference {
  const amount = formatUsdc(fromMinor(amountMinor));
  const detail = `${paymentId} (${sessionId}): the card processor has no such payment; the books say paid ${amount}`;
  return { paymentId, detail };
}

function differenceOf(state: CardState, row: CardRow | undefined): CardDifference | null {
  const { sessionId, paymentId } = state;
  // Opened by somebody else with the same account at the processor.
  if (paymentId === null) return null;
  const amount = fromMinor(state.amountMinor);
  const reversed = smaller(fromMinor(state.refundedMinor + state.lostMinor), amount);
  const contested = smaller(fromMinor(state.contestedMinor), amount - reversed);
  const isSame =
    row?.status === "paid" &&
    row.amountMinor === state.amountMinor &&
    row.reversedMicroUsdc === reversed &&
    row.contestedMicroUsdc === contested;
  if (isSame) return null;
  const theirs = `paid ${formatUsdc(amount)}, taken back ${formatUsdc(reversed)}, disputed ${formatUsdc(contested)}`;
  const ours =
    row === undefined
      ? "nothing"
      : `${row.status} ${formatUsdc(fromMinor(row.amountMinor))}, taken back ${formatUsdc(row.reversedMicroUsdc)}, ` +
        `disputed ${formatUsdc(row.contestedMicroUsdc)}`;
  return { paymentId, detail: `${paymentId} (${sessionId}): the card processor says ${theirs}; the books say ${ours}` };
}
