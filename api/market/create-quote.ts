import { VolleyError } from "@volley/schema/errors";
import type { Id } from "@volley/schema/ids";
import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { GPUS_PER_NODE_MAX, NODES_MAX } from "@volley/schema/operations/market";
import { INTERCONNECTS, ISOLATIONS, SUPPLIER_CLASSES } from "@volley/schema/resources/market";
import { DURATION_SECONDS_MAX, DURATION_SECONDS_MIN } from "@volley/schema/time";
import { type Context, newId } from "../context.ts";
import { explainUnmet } from "./explain-unmet.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import { knownGpu } from "./known-gpu.ts";
import { type Placement, place } from "./placement.ts";
import { fitRegions, type QuotedRank, type QuotePayload } from "./quote-payload.ts";
import { signQuote } from "./quote-token.ts";
import { toQuoteResource } from "./to-quote-resource.ts";
import type { Wish } from "./wish.ts";

type CreateQuote = Operations["quotes.create"];

/**
 * A firm price for a cluster: the best placement in the network as it is now, as a signed token. Writes nothing.
 * @throws {VolleyError} `unknown_gpu`, `size_out_of_range`, `duration_out_of_range`, `gang_impossible`,
 * `gang_unavailable`, `price_above_cap`
 */
export async function createQuote(ctx: Context, input: InputOf<CreateQuote>): Promise<OutputOf<CreateQuote>> {
  checkRanges(input);
  const wish: Wish = { ...input, gpu: knownGpu(input.gpu) };
  const { index } = ctx.market;
  const { platformFeeBps, quoteLifetimeSeconds, quoteKeys } = ctx.settings;
  const placement = place(index, wish);
  if (placement === null) throw explainUnmet(index, wish, platformFeeBps);

  const createdAtMs = ctx.clock.nowMs();
  const payload: QuotePayload = {
    id: newId(ctx, "quote"),
    createdAtMs,
    expiresAtMs: createdAtMs + quoteLifetimeSeconds * 1000,
    feeBps: platformFeeBps,
    wish,
    ranks: fitRegions(quotedRanks(index, placement)),
    rttMsMax: placement.rttMsMax,
  };
  return toQuoteResource(payload, signQuote(payload, quoteKeys));
}

function checkRanges(input: InputOf<CreateQuote>): void {
  const { nodes, gpus_per_node: gpusPerNode, duration_seconds: seconds } = input;
  const whole = (name: string, value: number, max: number) => {
    if (value >= 1 && value <= max) return;
    throw new VolleyError("size_out_of_range", `${name} is ${value}; it goes from 1 to ${max}.`, {
      nextAction: `Ask for ${name} from 1 to ${max}.`,
    });
  };
  whole("nodes", nodes, NODES_MAX);
  whole("gpus_per_node", gpusPerNode, GPUS_PER_NODE_MAX);
  if (seconds < DURATION_SECONDS_MIN || seconds > DURATION_SECONDS_MAX) {
    throw new VolleyError(
      "duration_out_of_range",
      `duration_seconds is ${seconds}; it goes from ${DURATION_SECONDS_MIN} (a minute) to ${DURATION_SECONDS_MAX} (30 days).`,
      { nextAction: "Ask for a duration in that range; clusters.extend adds time later." },
    );
  }
}

function quotedRanks(index: NetworkIndex, placement: Placement): QuotedRank[] {
  const { columns } = index;
  return placement.rows.map((row) => ({
    nodeId: columns.ids[row] as Id<"node">,
    rateMicroUsdcPerGpuHour: BigInt(columns.price[row] as number),
    country: index.countries.values[columns.country[row] as number] as string,
    region: index.regions.values[columns.region[row] as number] as string,
    interconnect: INTERCONNECTS[columns.interconnect[row] as number] as QuotedRank["interconnect"],
    reliabilityPpm: columns.reliability[row] as number,
    isolation: ISOLATIONS[columns.isolation[row] as number] as QuotedRank["isolation"],
    supplierClass: SUPPLIER_CLASSES[columns.supplierClass[row] as number] as QuotedRank["supplierClass"],
  }));
}
