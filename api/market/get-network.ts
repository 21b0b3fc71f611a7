import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import type { Context } from "../context.ts";
import { type Count, statisticsOf } from "./statistics.ts";

type Get = Operations["network.get"];

/**
 * The network in figures; machines that are offline don't count.
 * @throws {VolleyError} `unavailable`
 */
export async function getNetwork(ctx: Context, _input: InputOf<Get>): Promise<OutputOf<Get>> {
  const { whole, countries, models, supplierClasses } = statisticsOf(await ctx.market.network(ctx));
  return {
    object: "network",
    nodes: whole.nodes,
    gpus: whole.gpus,
    gpus_available: whole.gpusAvailable,
    utilisation: whole.gpus === 0 ? 0 : (whole.gpus - whole.gpusAvailable) / whole.gpus,
    countries: largestFirst(countries),
    models: largestFirst(models),
    supplier_classes: largestFirst(supplierClasses),
  };
}

function largestFirst(counts: ReadonlyMap<string, Count>): OutputOf<Get>["countries"] {
  return [...counts]
    .map(([key, { nodes, gpus, gpusAvailable }]) => ({ key, nodes, gpus, gpus_available: gpusAvailable }))
    .sort((a, b) => b.gpus - a.gpus || (a.key < b.key ? -1 : 1));
}
