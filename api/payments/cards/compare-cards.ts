import { formatUsdc } from "@volley/schema/money";
import { inArray } from "drizzle-orm";
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

/** What the processor has taken for us and given back, where the books say otherwise. */
export async function compareCards(ctx: Context, cards: CardProcessor): Promise<CardDifference[]> {
  const states = (await cards.completed(ctx.clock.nowMs() - CARD_WATCH_MS)).filter((state) => state.paid);
  if (states.length === 0) return [];
  const sessionIds = states.map((state) => state.sessionId);
  const kept = await ctx.db.select().from(cardPayments).where(inArray(cardPayments.sessionId, sessionIds));
  const bySession = new Map(kept.map((row) => [row.sessionId, row]));
  return states.flatMap((state) => differenceOf(state, bySession.get(state.sessionId)) ?? []);
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
