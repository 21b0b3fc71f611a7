import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { quoteIsUsed } from "../clusters/quote-is-used.ts";
import type { Context } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import type { QuotePayload } from "./quote-payload.ts";
import { verifyQuote } from "./quote-token.ts";
import { toQuoteResource } from "./to-quote-resource.ts";

type Get = Operations["quotes.get"];

/**
 * Reads a quote token and says whether it could be reserved now.
 * @throws {VolleyError} `quote_invalid`, `unavailable`
 */
export async function getQuote(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  const payload = verifyQuote(input.token, ctx.settings.quoteKeys);
  const reason = await stateOf(ctx, payload);
  return { object: "quote_check", quote: toQuoteResource(payload, input.token), holds: reason === "holds", reason };
}

async function stateOf(ctx: Context, payload: QuotePayload): Promise<OutputOf<Get>["reason"]> {
  if (await quoteIsUsed(ctx, payload.id)) return "used";
  if (ctx.clock.nowMs() >= payload.expiresAtMs) return "expired";
  return hasCapacity(await ctx.market.network(ctx), payload) ? "holds" : "capacity_gone";
}

function hasCapacity(index: NetworkIndex, { ranks, wish }: QuotePayload): boolean {
  const wanted = new Map<string, number>();
  for (const { nodeId } of ranks) wanted.set(nodeId, (wanted.get(nodeId) ?? 0) + wish.gpus_per_node);
  return [...wanted].every(([nodeId, gpus]) => (index.columns.free[index.rowOf(nodeId)] ?? 0) >= gpus);
}
