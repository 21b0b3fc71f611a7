import { isVolleyError, type Quote, VolleyError } from "@volley/schema";
import type { Context } from "../context.ts";
import { accountFrozen, sessionUnknown } from "../identity/open-account.ts";
import { createQuote } from "../market/create-quote.ts";
import type { QuotePayload } from "../market/quote-payload.ts";
import { chainClosed } from "../payments/chain-closed.ts";
import { insufficientBalance } from "../payments/insufficient-balance.ts";
import { holdsExceeded } from "./unpaid-holds.ts";

/** What a refusal of the SQL function means to the caller; null when it isn't one. */
export async function reservationRefused(
  ctx: Context,
  quote: QuotePayload,
  state: { readonly code: string; readonly detail: string | null; readonly constraint: string | null },
): Promise<VolleyError | null> {
  switch (state.code) {
    case "VR001":
      return new VolleyError("quote_used", "The quote was used for another reservation.", {
        nextAction: "Ask for a new quote; one is good for one cluster.",
      });
    case "VR002":
      return capacityGone(ctx, quote, (state.detail ?? "").split(","));
    case "VR003":
      return state.detail === "gpus"
        ? holdsExceeded(ctx, `Too many ${quote.wish.gpu} GPUs are in reservations of yours that wait to be paid.`)
        : holdsExceeded(ctx, "Too many of your reservations are waiting to be paid.");
    case "VR004":
      return new VolleyError("quote_expired", "The quote has expired.", {
        nextAction: "Ask for a new quote and reserve with it.",
      });
    case "VR005":
      return sessionUnknown();
    case "VR006":
      return accountFrozen(state.detail);
    case "VR007":
      return new VolleyError("payment_used", "This payment has bought another cluster.", {
        nextAction: "Ask for a new quote and pay anew; one signed payment is good for one cluster.",
      });
    case "VR008":
      return chainClosed();
    default:
      return state.constraint === "accounts_not_negative" ? insufficientBalance() : null;
  }
}

async function capacityGone(ctx: Context, quote: QuotePayload, nodeIds: readonly string[]): Promise<VolleyError> {
  const ranks = quote.ranks.flatMap((rank, index) => (nodeIds.includes(rank.nodeId) ? [index] : []));
  const fresh = await freshQuote(ctx, quote);
  return new VolleyError("capacity_gone", "Somebody else has taken machines of this quote.", {
    nextAction:
      fresh === null ? "Ask for a new quote." : "Reserve with the fresh quote in this answer, if it suits you.",
    extensions: { ranks, ...(fresh === null ? {} : { quote: fresh }) },
  });
}

/** Of the network as it is after what has just been learnt. */
async function freshQuote(ctx: Context, quote: QuotePayload): Promise<Quote | null> {
  try {
    await ctx.market.refresh(ctx);
    return await createQuote(ctx, quote.wish);
  } catch (error) {
    if (isVolleyError(error)) return null;
    // The refusal stands without it.
    ctx.logger.warn("no fresh quote could be made for a refused reservation", { error });
    return null;
  }
}
