import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { quoteIsUsed } from "../clusters/quote-is-used.ts";
import type { Context } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import type { QuotePayload } from "./quote-payload.ts";
import { verifyQuote } from "./quote-token.ts";
import { toQuoteResource } from "./to-quote-resource.ts";

type GetQuote = Operations["quotes.get"];

/**
 * What a token says, and whether a reservation with it would still go through.
 * @throws {VolleyError} `quote_invalid`
 */
export async function getQuote(ctx: Context, input: InputOf<GetQuote>): Promise<OutputOf<GetQuote>> {
  const payload = verifyQuote(input.token, ctx.settings.quoteKeys);
  const reason = await reasonOf(ctx, payload);
  return {
    object: "quote_check",
    quote: toQuoteResource(payload, input.token),
    holds: reason === "holds",
    reason,
  };
}

async function reasonOf(ctx: Context, payload: QuotePayload): Promise<OutputOf<GetQuote>["reason"]> {
  if (await quoteIsUsed(ctx, payload.id)) return "used";
  if (ctx.clock.nowMs() >= payload.expiresAtMs) return "expired";
  return hasRoom(ctx.market.index, payload) ? "holds" : "capacity_gone";
}

function hasRoom(index: NetworkIndex, payload: QuotePayload): boolean {
  const wanted = new Map<string, number>();
  for (const { nodeId } of payload.ranks) {
    wanted.set(nodeId, (wanted.get(nodeId) ?? 0) + payload.wish.gpus_per_node);
  }
  return [...wanted].every(([nodeId, gpus]) => {
    const row = index.rowOf(nodeId);
    return row >= 0 && (index.columns.free[row] as number) >= gpus;
  });
}
