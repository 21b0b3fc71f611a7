import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { type Network, SUPPLIER_CLASSES } from "@volley/schema/resources/market";
import type { Context } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";

type GetNetwork = Operations["network.get"];

interface Count {
  nodes: number;
  gpus: number;
  gpusAvailable: number;
}

/** The machines that are online, in figures. */
export async function getNetwork(ctx: Context, _input: InputOf<GetNetwork>): Promise<OutputOf<GetNetwork>> {
  const { index } = ctx.market;
  const { columns } = index;
  const all: Count = { nodes: 0, gpus: 0, gpusAvailable: 0 };
  const countries = new Map<number, Count>();
  const models = new Map<number, Count>();
  const classes = new Map<number, Count>();
  for (let row = 0; row < index.length; row++) {
    const gpus = columns.total[row] as number;
    // A machine that is offline or draining counts no GPUs.
    if (gpus === 0) continue;
    const available = columns.free[row] as number;
    add(all, gpus, available);
    add(countOf(countries, columns.country[row] as number), gpus, available);
    add(countOf(models, columns.model[row] as number), gpus, available);
    add(countOf(classes, columns.supplierClass[row] as number), gpus, available);
  }
  return {
    object: "network",
    nodes: all.nodes,
    gpus: all.gpus,
    gpus_available: all.gpusAvailable,
    utilisation: all.gpus === 0 ? 0 : (all.gpus - all.gpusAvailable) / all.gpus,
    countries: toCounts(countries, index.countries.values),
    models: toCounts(models, index.gpus.values),
    supplier_classes: toCounts(classes, SUPPLIER_CLASSES),
  };
}

function countOf(counts: Map<number, Count>, code: number): Count {
  const known = counts.get(code);
  if (known !== undefined) return known;
  const fresh = { nodes: 0, gpus: 0, gpusAvailable: 0 };
  counts.set(code, fresh);
  return fresh;
}

function add(count: Count, gpus: number, available: number): void {
  count.nodes++;
  count.gpus += gpus;
  count.gpusAvailable += available;
}

/** The largest first. */
function toCounts(
  counts: ReadonlyMap<number, Count>,
  names: NetworkIndex["gpus"]["values"] | readonly string[],
): Network["countries"] {
  return [...counts]
    .map(([code, count]) => ({
      key: names[code] as string,
      nodes: count.nodes,
      gpus: count.gpus,
      gpus_available: count.gpusAvailable,
    }))
    .sort((a, b) => b.gpus - a.gpus || (a.key < b.key ? -1 : 1));
}
