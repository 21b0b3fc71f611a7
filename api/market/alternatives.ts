/**
 * What stood in a wish's way, and what nearly meets it. Every alternative has been placed, so each could be
 * quoted at this moment.
 */
import { GPU_MODELS, gpuModel } from "@volley/schema/gpus";
import { toMoney } from "@volley/schema/money";
import { NODES_MAX } from "@volley/schema/operations/market";
import type { Alternative } from "@volley/schema/resources/market";
import type { NetworkIndex } from "./index/network-index.ts";
import { type Placement, place } from "./placement.ts";
import { bill, meanRateMicroUsdc } from "./price.ts";
import { CONSTRAINTS, type Constraint, type Wish, withoutConstraints } from "./wish.ts";

const ALTERNATIVES_MAX = 5;
const OTHER_GPUS_MAX = 2;
/** Models that are tried before giving up on other models. */
const OTHER_GPUS_TRIED = 12;

export interface Options {
  readonly index: NetworkIndex;
  readonly feeBps: number;
}

/** The fields of a wish that can be what stood in its way. */
export type Obstacle = Constraint | "gpu" | "nodes" | "gpus_per_node";

export interface Unmet {
  /** Leaving this out, or changing it, is the smallest change that helps; the model itself when none does. */
  readonly constraint: Obstacle;
  readonly alternatives: readonly Alternative[];
}

interface Change {
  readonly constraint: Obstacle;
  readonly description: string;
  readonly wish: Wish;
}

/** @param wish one that can't be placed */
export function explainUnmet(options: Options, wish: Wish): Unmet {
  const found: Alternative[] = [];
  for (const change of changes(options.index, wish)) {
    const placement = place(options.index, change.wish);
    if (placement !== null) found.push(toAlternative(options, change, placement));
    if (found.length === ALTERNATIVES_MAX) break;
  }
  return { constraint: (found[0]?.constraint as Obstacle | undefined) ?? "gpu", alternatives: found };
}

/** The smallest changes first: one constraint, the gang's shape, two constraints, another model, no constraint at all. */
function* changes(index: NetworkIndex, wish: Wish): Generator<Change> {
  const given = CONSTRAINTS.filter((constraint) => wish[constraint] !== undefined);
  for (const constraint of given) yield dropping(wish, [constraint]);
  yield* otherShapes(wish);
  const fewer = fewerNodes(index, wish);
  if (fewer !== null) yield fewer;
  for (const [at, first] of given.entries()) {
    for (const second of given.slice(at + 1)) yield dropping(wish, [first, second]);
  }
  yield* otherGpus(index, wish);
  if (given.length > 2) {
    yield dropping(wish, given);
    const fewerOfAny = fewerNodes(index, withoutConstraints(wish, given));
    if (fewerOfAny !== null) yield { ...fewerOfAny, description: `${fewerOfAny.description}, without any constraint` };
  }
}

function dropping(wish: Wish, constraints: readonly Constraint[]): Change {
  return {
    constraint: constraints[0] as Constraint,
    description: `Without ${constraints.join(" and ")}`,
    wish: withoutConstraints(wish, constraints),
  };
}

/** As many GPUs in all, on more machines with fewer each. */
function* otherShapes(wish: Wish): Generator<Change> {
  for (let parts = 2; parts <= wish.gpus_per_node; parts *= 2) {
    if (wish.gpus_per_node % parts !== 0 || wish.nodes * parts > NODES_MAX) continue;
    const shape = { nodes: wish.nodes * parts, gpus_per_node: wish.gpus_per_node / parts };
    yield {
      constraint: "gpus_per_node",
      description: `The same number of GPUs as ${shape.nodes} nodes of ${shape.gpus_per_node}`,
      wish: { ...wish, ...shape },
    };
  }
}

/** The largest gang that can be placed now, by halving; null when not even one node can. */
function fewerNodes(index: NetworkIndex, wish: Wish): Change | null {
  let possible = 0;
  let impossible = wish.nodes;
  while (impossible - possible > 1) {
    const nodes = Math.floor((possible + impossible) / 2);
    if (place(index, { ...wish, nodes }) === null) impossible = nodes;
    else possible = nodes;
  }
  if (possible === 0) return null;
  const description = possible === 1 ? "1 node" : `${possible} nodes`;
  return { constraint: "nodes", description: `Fewer nodes: ${description}`, wish: { ...wish, nodes: possible } };
}

/** Models with at least as much memory, of the same vendor first, the closest in memory first. */
function* otherGpus(index: NetworkIndex, wish: Wish): Generator<Change> {
  const wanted = gpuModel(wish.gpu);
  if (wanted === undefined || wanted.vramGib === 0) return;
  const others = GPU_MODELS.filter(
    ({ slug, vramGib }) => slug !== wish.gpu && vramGib >= wanted.vramGib && index.listsOf(slug) !== undefined,
  ).sort((a, b) => Number(b.vendor === wanted.vendor) - Number(a.vendor === wanted.vendor) || a.vramGib - b.vramGib);
  let found = 0;
  for (const { slug, name } of others.slice(0, OTHER_GPUS_TRIED)) {
    const other = { ...wish, gpu: slug };
    if (place(index, other) === null) continue;
    yield { constraint: "gpu", description: `Another model with at least as much memory: ${name}`, wish: other };
    if (++found === OTHER_GPUS_MAX) return;
  }
}

function toAlternative({ index, feeBps }: Options, change: Change, placement: Placement): Alternative {
  const { wish } = change;
  const rates = placement.rows.map((row) => BigInt(index.columns.price[row] as number));
  const uses = rates.map((rateMicroUsdcPerGpuHour) => ({
    rateMicroUsdcPerGpuHour,
    gpus: wish.gpus_per_node,
    seconds: wish.duration_seconds,
  }));
  return {
    constraint: change.constraint,
    description: change.description,
    gpu: wish.gpu,
    nodes: wish.nodes,
    gpus_per_node: wish.gpus_per_node,
    price_per_gpu_hour: toMoney(meanRateMicroUsdc(rates)),
    total: toMoney(bill(uses, feeBps).totalMicroUsdc),
  };
}
