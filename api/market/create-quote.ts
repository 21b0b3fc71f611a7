import { VolleyError } from "@volley/schema/errors";
import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { GPUS_PER_NODE_MAX, NODES_MAX } from "@volley/schema/operations/market";
import { DURATION_SECONDS_MAX, DURATION_SECONDS_MIN } from "@volley/schema/time";
import type { Context } from "../context.ts";
import { explainUnmet } from "./alternatives.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import { newQuotePayload } from "./new-quote-payload.ts";
import { place } from "./placement.ts";
import { signQuote } from "./quote-token.ts";
import { requireGpu } from "./require-gpu.ts";
import { toQuoteResource } from "./to-quote-resource.ts";
import { type Wish, withoutConstraints } from "./wish.ts";

type Create = Operations["quotes.create"];

/**
 * A firm price for a cluster, from the network in memory. Writes nothing: the quote is its signed token.
 * @throws {VolleyError} `unknown_gpu`, `size_out_of_range`, `duration_out_of_range`, `price_above_cap`,
 * `gang_impossible`, `gang_unavailable`, `unavailable`
 */
export async function createQuote(ctx: Context, input: InputOf<Create>): Promise<OutputOf<Create>> {
  requireRange("size_out_of_range", "nodes", input.nodes, 1, NODES_MAX);
  requireRange("size_out_of_range", "gpus_per_node", input.gpus_per_node, 1, GPUS_PER_NODE_MAX);
  const { duration_seconds: seconds } = input;
  requireRange("duration_out_of_range", "duration_seconds", seconds, DURATION_SECONDS_MIN, DURATION_SECONDS_MAX);
  const wish: Wish = { ...input, gpu: requireGpu(input.gpu) };
  const index = await ctx.market.network(ctx);
  const placement = place(index, wish);
  if (placement === null) throw unmet(index, wish, ctx.settings.platformFeeBps);
  const payload = newQuotePayload(ctx, index, wish, placement);
  return toQuoteResource(payload, signQuote(payload, ctx.settings.quoteKeys));
}

function requireRange(
  code: "size_out_of_range" | "duration_out_of_range",
  field: string,
  value: number,
  min: number,
  max: number,
): void {
  if (value >= min && value <= max) return;
  throw new VolleyError(code, `${field} is ${value}; it must be from ${min} to ${max}.`, {
    nextAction: `Choose ${field} from ${min} to ${max}.`,
    errors: [{ pointer: `/${field}`, code, message: `must be from ${min} to ${max}` }],
  });
}

/** Which error a wish that can't be placed deserves, with what stood in the way and what could be had instead. */
function unmet(index: NetworkIndex, wish: Wish, feeBps: number): VolleyError {
  const { constraint, alternatives } = explainUnmet({ index, feeBps }, wish);
  const anyPrice = withoutConstraints(wish, ["max_price_per_gpu_hour"]);
  const cheapest = alternatives.find((alternative) => alternative.constraint === "max_price_per_gpu_hour");
  const choose = alternatives.length > 0 ? "Quote one of the alternatives" : "Ask for less, or for another model";
  if (wish.max_price_per_gpu_hour !== undefined && place(index, anyPrice) !== null) {
    const price = cheapest === undefined ? "" : `: ${cheapest.price_per_gpu_hour.amount} USDC a GPU hour on average`;
    return new VolleyError(
      "price_above_cap",
      `Such a cluster costs more than the cap of ${wish.max_price_per_gpu_hour} USDC a GPU hour${price}.`,
      {
        nextAction: "Raise max_price_per_gpu_hour, or quote one of the alternatives.",
        extensions: { constraint: "max_price_per_gpu_hour", alternatives },
      },
    );
  }
  const shape = `${wish.nodes} × ${wish.gpus_per_node} × ${wish.gpu}`;
  if (place(index, anyPrice, "all_free") === null) {
    return new VolleyError("gang_impossible", `The network has no machines for ${shape} as asked, rented or not.`, {
      nextAction: `${choose}.`,
      extensions: { constraint, alternatives },
    });
  }
  return new VolleyError("gang_unavailable", `${shape} as asked is not free now; ${constraint} stands in the way.`, {
    nextAction: `${choose}, or try again later.`,
    extensions: { constraint, alternatives },
    retryAfterSeconds: 60,
  });
}
