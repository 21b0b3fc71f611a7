import { VolleyError } from "@volley/schema/errors";
import { GPU_MODELS, type GpuModel } from "@volley/schema/gpus";
import { toMoney } from "@volley/schema/money";
import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { decodeCursor, encodeCursor } from "@volley/schema/pages";
import type { Gpu } from "@volley/schema/resources/market";
import type { Context } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import { type Statistics, statisticsOf } from "./statistics.ts";

type List = Operations["gpus.list"];

const BY_SLUG = [...GPU_MODELS].sort((a, b) => (a.slug < b.slug ? -1 : 1));
/** Marks cursors as this list's. */
const CURSOR_KEY = "gpu";

/**
 * The models that some machine online has, by slug.
 * @throws {VolleyError} `invalid_cursor`, `unavailable`
 */
export async function listGpus(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const after = input.cursor === undefined ? "" : readCursor(input.cursor);
  const index = await ctx.market.network(ctx);
  const statistics = statisticsOf(index);
  const offered = BY_SLUG.filter(({ slug }) => slug > after && statistics.models.has(slug));
  const data = offered.slice(0, input.limit).map((model) => toGpu(index, statistics, model));
  const last = data.at(-1);
  return { data, next_cursor: offered.length > data.length && last !== undefined ? gpuCursor(last) : null };
}

/** The cursor after which the page that begins with the next model is asked for. */
export function gpuCursor(gpu: Gpu): string {
  return encodeCursor({ key: CURSOR_KEY, id: gpu.gpu });
}

function readCursor(text: string): string {
  const position = decodeCursor(text);
  if (position?.key === CURSOR_KEY) return position.id;
  throw new VolleyError("invalid_cursor", "The cursor was not issued by this list.", {
    nextAction: "Pass the next_cursor of a page as it is, or leave it out to begin anew.",
  });
}

function toGpu(index: NetworkIndex, statistics: Statistics, model: GpuModel): Gpu {
  const count = statistics.models.get(model.slug);
  const prices = priceRange(index, model.slug);
  return {
    object: "gpu",
    gpu: model.slug,
    name: model.name,
    vendor: model.vendor,
    architecture: model.architecture,
    vram_gib: model.vramGib,
    gpus_total: count?.gpus ?? 0,
    gpus_available: count?.gpusAvailable ?? 0,
    nodes_available: count?.nodesAvailable ?? 0,
    price_per_gpu_hour_min: prices === null ? null : toMoney(BigInt(prices.min)),
    price_per_gpu_hour_max: prices === null ? null : toMoney(BigInt(prices.max)),
  };
}

/** Of machines with a free GPU; the list is sorted by price, so the ends are looked for from the ends. */
function priceRange(index: NetworkIndex, gpu: string): { min: number; max: number } | null {
  const list = index.listsOf(gpu)?.byPrice;
  if (list === undefined) return null;
  const { free, price } = index.columns;
  let first = 0;
  while (first < list.length && free[list.rows[first] as number] === 0) first++;
  if (first === list.length) return null;
  let last = list.length - 1;
  while (free[list.rows[last] as number] === 0) last--;
  return { min: price[list.rows[first] as number] as number, max: price[list.rows[last] as number] as number };
}
