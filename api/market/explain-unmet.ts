/** Why a wish can't be met, and the nearest wishes that can. */
import { VolleyError } from "@volley/schema/errors";
import { CPU_SLUG, GPU_MODELS, gpuModel } from "@volley/schema/gpus";
import { toMoney } from "@volley/schema/money";
import type { Alternative } from "@volley/schema/resources/market";
import type { NetworkIndex } from "./index/network-index.ts";
import { type Placement, place } from "./placement.ts";
import { bill, meanRateMicroUsdc } from "./price.ts";
import { CONSTRAINTS, type Constraint, type Wish, withoutConstraints } from "./wish.ts";

const ALTERNATIVES_MAX = 5;
const OTHER_MODELS_MAX = 3;

interface Option {
  readonly constraint: string;
  readonly description: string;
  readonly wish: Wish;
}

/** The error for a wish that `place` could not meet. Each alternative in it can be placed as the network is now. */
export function explainUnmet(index: NetworkIndex, wish: Wish, feeBps: number): VolleyError {
  const given = CONSTRAINTS.filter((constraint) => wish[constraint] !== undefined);
  const alternatives: Alternative[] = [];
  const offer = (option: Option): boolean => {
    if (alternatives.length >= ALTERNATIVES_MAX) return false;
    const placement = place(index, option.wish);
    if (placement === null) return false;
    alternatives.push(toAlternative(index, option, placement, feeBps));
    return true;
  };

  const culprits = given.filter((constraint) => offer(without(wish, [constraint])));
  // No constraint alone stands in the way: perhaps all of them together do.
  if (culprits.length === 0 && given.length > 1) offer(without(wish, given));
  offerFewerNodes(index, wish, offer);
  offerOtherModels(wish, offer);

  const constraint = culprits[0] ?? (given.length > 1 && alternatives.length > 0 ? "several" : "capacity");
  const extensions = { constraint, alternatives };
  const nextAction =
    alternatives.length > 0
      ? "Take one of the alternatives in this answer, or relax the constraint that it names."
      : "Try again later, or ask for another model.";
  if (culprits.length > 0 && culprits.every((culprit) => culprit === "max_price_per_gpu_hour")) {
    const price = alternatives[0]?.price_per_gpu_hour.amount;
    return new VolleyError(
      "price_above_cap",
      `The cheapest match costs ${price} USDC per GPU hour, above the cap of ${wish.max_price_per_gpu_hour}.`,
      { nextAction: "Raise max_price_per_gpu_hour, or take an alternative.", extensions },
    );
  }
  const what = `${wish.nodes} × ${wish.gpus_per_node} × ${wish.gpu}`;
  if (place(index, wish, "all_free") === null) {
    return new VolleyError(
      "gang_impossible",
      `Even with every machine free, the network could not form ${what} as asked${culprits.length > 0 ? ` (${culprits.join(", ")})` : ""}.`,
      { nextAction, extensions },
    );
  }
  return new VolleyError(
    "gang_unavailable",
    `${what} can't be had as asked now; what stands in the way: ${constraint}.`,
    {
      nextAction,
      extensions,
      retryAfterSeconds: 30,
    },
  );
}

function without(wish: Wish, dropped: readonly Constraint[]): Option {
  return {
    constraint: dropped.length === 1 ? (dropped[0] as string) : "several",
    description: `Without ${dropped.join(", ")}`,
    wish: withoutConstraints(wish, dropped),
  };
}

/** The largest gang of that shape that can be had, found by halving: fewer ranks are never harder to place. */
function offerFewerNodes(index: NetworkIndex, wish: Wish, offer: (option: Option) => boolean): void {
  let [possible, impossible] = [0, wish.nodes];
  while (impossible - possible > 1) {
    const nodes = Math.floor((possible + impossible) / 2);
    if (place(index, { ...wish, nodes }) === null) impossible = nodes;
    else possible = nodes;
  }
  if (possible > 0) {
    offer({ constraint: "nodes", description: `Only ${possible} nodes`, wish: { ...wish, nodes: possible } });
  }
}

/** Models with at least as much memory, the closest first. */
function offerOtherModels(wish: Wish, offer: (option: Option) => boolean): void {
  const wanted = gpuModel(wish.gpu);
  if (wanted === undefined || wanted.slug === CPU_SLUG) return;
  const larger = GPU_MODELS.filter((model) => model.slug !== wanted.slug && model.vramGib >= wanted.vramGib).sort(
    (a, b) => Number(a.vendor !== wanted.vendor) - Number(b.vendor !== wanted.vendor) || a.vramGib - b.vramGib,
  );
  let found = 0;
  for (const model of larger) {
    if (found >= OTHER_MODELS_MAX) return;
    const option = { constraint: "gpu", description: `On ${model.name}`, wish: { ...wish, gpu: model.slug } };
    if (offer(option)) found++;
  }
}

function toAlternative(index: NetworkIndex, option: Option, placement: Placement, feeBps: number): Alternative {
  const { wish } = option;
  const rates = placement.rows.map((row) => BigInt(index.columns.price[row] as number));
  const charges = bill(
    rates.map((rateMicroUsdcPerGpuHour) => ({
      rateMicroUsdcPerGpuHour,
      gpus: wish.gpus_per_node,
      seconds: wish.duration_seconds,
    })),
    feeBps,
  );
  return {
    constraint: option.constraint,
    description: option.description,
    gpu: wish.gpu,
    nodes: wish.nodes,
    gpus_per_node: wish.gpus_per_node,
    price_per_gpu_hour: toMoney(meanRateMicroUsdc(rates)),
    total: toMoney(charges.totalMicroUsdc),
  };
}
