import { VolleyError } from "@volley/schema/errors";
import type { Id } from "@volley/schema/ids";
import { parseUsdc, toMoney } from "@volley/schema/money";
import type { InputOf, OutputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";
import { decodeCursor, encodeCursor } from "@volley/schema/pages";
import {
  INTERCONNECTS,
  type Interconnect,
  ISOLATIONS,
  type Isolation,
  type Offer,
  SUPPLIER_CLASSES,
  type SupplierClass,
} from "@volley/schema/resources/market";
import type { Context } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import { compileRowFilter } from "./index/row-filter.ts";
import { type OfferPosition, searchOffers } from "./index/search-offers.ts";
import { requireGpu } from "./require-gpu.ts";

type List = Operations["offers.list"];

const PPM = 1_000_000;

/**
 * Machines that could be rented now, cheapest first, then the more reliable. Cores, memory and disk are the whole
 * machine's; a quote asks them of each rank's share.
 * @throws {VolleyError} `invalid_cursor`, `unknown_gpu`, `unavailable`
 */
export async function listOffers(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const after = input.cursor === undefined ? null : readCursor(input.cursor);
  const gpu = input.gpu === undefined ? null : requireGpu(input.gpu);
  const index = await ctx.market.network(ctx);
  const filter = compileRowFilter(index, input, { gpusPerRank: input.gpus, occupancy: "as_is", perShare: false });
  const models = gpu === null ? index.gpus.values : [gpu];
  const rows = searchOffers(index, filter, { models, machinesMin: input.nodes, after, limit: input.limit + 1 });
  const data = rows.slice(0, input.limit).map((row) => toOffer(index, row));
  const last = data.at(-1);
  return { data, next_cursor: rows.length > data.length && last !== undefined ? offerCursor(last) : null };
}

/** The cursor after which the page that begins with the next offer is asked for. */
export function offerCursor(offer: Offer): string {
  const price = parseUsdc(offer.price_per_gpu_hour.amount);
  return encodeCursor({ key: `${price}:${Math.round(offer.reliability * PPM)}`, id: offer.node_id });
}

function readCursor(text: string): OfferPosition {
  const position = decodeCursor(text);
  const [, price, reliability] = /^(\d{1,16}):(\d{1,7})$/.exec(position?.key ?? "") ?? [];
  if (position !== null && price !== undefined) {
    return { price: Number(price), reliability: Number(reliability), id: position.id };
  }
  throw new VolleyError("invalid_cursor", "The cursor was not issued by this list.", {
    nextAction: "Pass the next_cursor of a page as it is, or leave it out to begin anew.",
  });
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
    interconnect: INTERCONNECTS[columns.interconnect[row] as number] as Interconnect,
    reliability: (columns.reliability[row] as number) / PPM,
    isolation: ISOLATIONS[columns.isolation[row] as number] as Isolation,
    supplier_class: SUPPLIER_CLASSES[columns.supplierClass[row] as number] as SupplierClass,
    cpu_cores: columns.cpuCores[row] as number,
    memory_gib: columns.memoryGib[row] as number,
    disk_gib: columns.diskGib[row] as number,
  };
}
