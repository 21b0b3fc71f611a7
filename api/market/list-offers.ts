import { VolleyError } from "@volley/schema/errors";
import type { Id } from "@volley/schema/ids";
import { parseUsdc, toMoney } from "@volley/schema/money";
import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { decodeCursor, encodeCursor } from "@volley/schema/pages";
import { INTERCONNECTS, ISOLATIONS, type Offer, SUPPLIER_CLASSES } from "@volley/schema/resources/market";
import type { Context } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import { compileRowFilter, type RowFilter, ranksOn } from "./index/row-filter.ts";
import { knownGpu } from "./known-gpu.ts";

type ListOffers = Operations["offers.list"];

const PPM = 1_000_000;

/** Where a machine stands among offers: cheapest first, then the more reliable, then by id. */
interface Place {
  readonly price: number;
  readonly reliabilityPpm: number;
  readonly id: string;
}

function compare(a: Place, b: Place): number {
  return a.price - b.price || b.reliabilityPpm - a.reliabilityPpm || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function placeOf(index: NetworkIndex, row: number): Place {
  const { price, reliability, ids } = index.columns;
  return { price: price[row] as number, reliabilityPpm: reliability[row] as number, id: ids[row] as string };
}

export function offerCursor(offer: Offer): string {
  const price = parseUsdc(offer.price_per_gpu_hour.amount);
  return encodeCursor({ key: `${price}:${Math.round(offer.reliability * PPM)}`, id: offer.node_id });
}

function readCursor(cursor: string): Place {
  const position = decodeCursor(cursor);
  const [, price, reliability] = /^([0-9]{1,16}):([0-9]{1,7})$/.exec(position?.key ?? "") ?? [];
  if (position === null || price === undefined || reliability === undefined) {
    throw new VolleyError("invalid_cursor", "The cursor was not issued by offers.list.", {
      nextAction: "Pass next_cursor of the page before, unchanged, or leave it out.",
    });
  }
  return { price: Number(price), reliabilityPpm: Number(reliability), id: position.id };
}

/**
 * Machines that can be rented now, cheapest first.
 * @throws {VolleyError} `unknown_gpu`, `invalid_cursor`
 */
export async function listOffers(ctx: Context, input: InputOf<ListOffers>): Promise<OutputOf<ListOffers>> {
  const { index } = ctx.market;
  const after = input.cursor === undefined ? null : readCursor(input.cursor);
  const filter = compileRowFilter(index, input, { gpusPerRank: input.gpus, occupancy: "as_is", perShare: false });
  const models = input.gpu === undefined ? index.gpus.values : [knownGpu(input.gpu)];
  const rows = models
    .flatMap((model) => firstRows(index, model, filter, { after, count: input.limit + 1, nodesMin: input.nodes }))
    .sort((a, b) => compare(placeOf(index, a), placeOf(index, b)));
  const data = rows.slice(0, input.limit).map((row) => toOffer(index, row));
  const last = data.at(-1);
  return { data, next_cursor: rows.length > input.limit && last !== undefined ? offerCursor(last) : null };
}

interface Slice {
  readonly after: Place | null;
  readonly count: number;
  /** Only of models with at least so many machines that match. */
  readonly nodesMin: number;
}

function firstRows(index: NetworkIndex, model: string, filter: RowFilter, slice: Slice): number[] {
  const list = index.listsOf(model)?.byPrice;
  if (list === undefined) return [];
  const found: number[] = [];
  let matches = 0;
  for (let at = 0; at < list.length; at++) {
    const row = list.rows[at] as number;
    if ((index.columns.price[row] as number) > filter.priceMax) break;
    if (ranksOn(index.columns, filter, row) === 0) continue;
    matches++;
    const isNext = slice.after === null || compare(placeOf(index, row), slice.after) > 0;
    if (isNext && found.length < slice.count) found.push(row);
    if (found.length >= slice.count && matches >= slice.nodesMin) break;
  }
  return matches >= slice.nodesMin ? found : [];
}

function toOffer(index: NetworkIndex, row: number): Offer {
  const { columns } = index;
  return {
    object: "offer",
    node_id: columns.ids[row] as Id<"node">,
    gpu: index.gpus.values[columns.model[row] as number] as string,
    gpus_available: columns.free[row] as number,
    gpus_total: columns.total[row] as number,
    price_per_gpu_hour: toMoney(BigInt(columns.price[row] as number)),
    country: index.countries.values[columns.country[row] as number] as string,
    region: index.regions.values[columns.region[row] as number] as string,
    interconnect: INTERCONNECTS[columns.interconnect[row] as number] as Offer["interconnect"],
    reliability: (columns.reliability[row] as number) / PPM,
    isolation: ISOLATIONS[columns.isolation[row] as number] as Offer["isolation"],
    supplier_class: SUPPLIER_CLASSES[columns.supplierClass[row] as number] as Offer["supplier_class"],
    cpu_cores: columns.cpuCores[row] as number,
    memory_gib: columns.memoryGib[row] as number,
    disk_gib: columns.diskGib[row] as number,
  };
}
