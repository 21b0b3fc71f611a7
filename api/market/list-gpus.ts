import { VolleyError } from "@volley/schema/errors";
import { GPU_MODELS, type GpuModel } from "@volley/schema/gpus";
import { toMoney } from "@volley/schema/money";
import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { decodeCursor, encodeCursor } from "@volley/schema/pages";
import type { Gpu } from "@volley/schema/resources/market";
import type { Context } from "../context.ts";
import type { ModelLists, NetworkIndex } from "./index/network-index.ts";

type ListGpus = Operations["gpus.list"];

const MODELS_BY_SLUG = [...GPU_MODELS].sort((a, b) => (a.slug < b.slug ? -1 : 1));

export function gpuCursor(gpu: Gpu): string {
  return encodeCursor({ key: gpu.gpu, id: gpu.gpu });
}

/**
 * The models that the network has, by slug, with what is free now.
 * @throws {VolleyError} `invalid_cursor`
 */
export async function listGpus(ctx: Context, input: InputOf<ListGpus>): Promise<OutputOf<ListGpus>> {
  const { index } = ctx.market;
  const after = input.cursor === undefined ? null : decodeCursor(input.cursor);
  if (input.cursor !== undefined && after === null) {
    throw new VolleyError("invalid_cursor", "The cursor was not issued by gpus.list.", {
      nextAction: "Pass next_cursor of the page before, unchanged, or leave it out.",
    });
  }
  const data: Gpu[] = [];
  for (const model of MODELS_BY_SLUG) {
    if (after !== null && model.slug <= after.id) continue;
    const lists = index.listsOf(model.slug);
    const gpu = lists === undefined ? null : toGpu(index, model, lists);
    if (gpu === null) continue;
    const last = data.at(-1);
    if (data.length === input.limit && last !== undefined) return { data, next_cursor: gpuCursor(last) };
    data.push(gpu);
  }
  return { data, next_cursor: null };
}

function toGpu(index: NetworkIndex, model: GpuModel, lists: ModelLists): Gpu | null {
  const { free, total, price } = index.columns;
  let [gpusTotal, gpusAvailable, nodesAvailable] = [0, 0, 0];
  let [priceMin, priceMax] = [Number.POSITIVE_INFINITY, 0];
  for (let at = 0; at < lists.byPrice.length; at++) {
    const row = lists.byPrice.rows[at] as number;
    gpusTotal += total[row] as number;
    if ((free[row] as number) === 0) continue;
    gpusAvailable += free[row] as number;
    nodesAvailable++;
    priceMin = Math.min(priceMin, price[row] as number);
    priceMax = Math.max(priceMax, price[row] as number);
  }
  if (gpusTotal === 0) return null;
  return {
    object: "gpu",
    gpu: model.slug,
    name: model.name,
    vendor: model.vendor,
    architecture: model.architecture,
    vram_gib: model.vramGib,
    gpus_total: gpusTotal,
    gpus_available: gpusAvailable,
    nodes_available: nodesAvailable,
    price_per_gpu_hour_min: nodesAvailable === 0 ? null : toMoney(BigInt(priceMin)),
    price_per_gpu_hour_max: nodesAvailable === 0 ? null : toMoney(BigInt(priceMax)),
  };
}
