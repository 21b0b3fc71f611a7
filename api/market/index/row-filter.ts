/** The part of a wish that one machine meets or fails by itself, compiled to numbers. */
import { parseUsdc } from "@volley/schema/money";
import { INTERCONNECTS, ISOLATIONS, SUPPLIER_CLASSES, type SupplierClass } from "@volley/schema/resources/market";
import type { Columns } from "./columns.ts";
import type { Dictionary } from "./dictionary.ts";
import type { NetworkIndex } from "./network-index.ts";

/** The fields that quotes and offers share, under the contract's names. */
export interface RowWish {
  readonly countries?: readonly string[] | undefined;
  readonly regions?: readonly string[] | undefined;
  readonly interconnect?: (typeof INTERCONNECTS)[number] | undefined;
  readonly min_reliability?: number | undefined;
  readonly isolation?: (typeof ISOLATIONS)[number] | undefined;
  readonly supplier_class?: SupplierClass | undefined;
  readonly max_price_per_gpu_hour?: string | undefined;
  readonly min_cpu_cores?: number | undefined;
  readonly min_memory_gib?: number | undefined;
  readonly min_disk_gib?: number | undefined;
}

export interface RowFilter {
  /** GPUs of one rank. */
  readonly gpusPerRank: number;
  /** GPUs that count as there: the free ones, or all when only the machine's shape is asked for. */
  readonly gpus: Uint16Array;
  readonly priceMax: number;
  /** 1 for each code that is allowed; null when all are. */
  readonly countries: Uint8Array | null;
  readonly regions: Uint8Array | null;
  readonly interconnectMin: number;
  readonly reliabilityMinPpm: number;
  readonly isolationMin: number;
  /** -1 when either will do. */
  readonly supplierClass: number;
  readonly cpuCoresMin: number;
  readonly memoryGibMin: number;
  readonly diskGibMin: number;
  /** Whether cores, memory and disk are asked of a rank's share of the machine (its part of the GPUs), or of the whole. */
  readonly perShare: boolean;
}

function allowed(dictionary: Dictionary, values: readonly string[] | undefined): Uint8Array | null {
  if (values === undefined) return null;
  const mask = new Uint8Array(dictionary.values.length);
  for (const value of values) {
    const code = dictionary.find(value);
    if (code >= 0) mask[code] = 1;
  }
  return mask;
}

/** `all_free` asks for machines that could hold the ranks if nobody else rented anything. */
export type Occupancy = "as_is" | "all_free";

export interface RowFilterOptions {
  readonly gpusPerRank: number;
  readonly occupancy: Occupancy;
  readonly perShare: boolean;
}

export function compileRowFilter(index: NetworkIndex, wish: RowWish, options: RowFilterOptions): RowFilter {
  return {
    gpusPerRank: options.gpusPerRank,
    gpus: options.occupancy === "all_free" ? index.columns.total : index.columns.free,
    priceMax: wish.max_price_per_gpu_hour === undefined ? Infinity : Number(parseUsdc(wish.max_price_per_gpu_hour)),
    countries: allowed(index.countries, wish.countries),
    regions: allowed(index.regions, wish.regions),
    interconnectMin: wish.interconnect === undefined ? 0 : INTERCONNECTS.indexOf(wish.interconnect),
    reliabilityMinPpm: Math.round((wish.min_reliability ?? 0) * 1_000_000),
    isolationMin: wish.isolation === undefined ? 0 : ISOLATIONS.indexOf(wish.isolation),
    supplierClass: wish.supplier_class === undefined ? -1 : SUPPLIER_CLASSES.indexOf(wish.supplier_class),
    cpuCoresMin: wish.min_cpu_cores ?? 0,
    memoryGibMin: wish.min_memory_gib ?? 0,
    diskGibMin: wish.min_disk_gib ?? 0,
    perShare: options.perShare,
  };
}

/** How many ranks the machine can hold; 0 when it doesn't meet the wish. */
export function ranksOn(columns: Columns, filter: RowFilter, row: number): number {
  const gpus = filter.gpus[row] as number;
  const { gpusPerRank } = filter;
  if (
    gpus < gpusPerRank ||
    (columns.price[row] as number) > filter.priceMax ||
    (columns.reliability[row] as number) < filter.reliabilityMinPpm ||
    (columns.interconnect[row] as number) < filter.interconnectMin ||
    (columns.isolation[row] as number) < filter.isolationMin ||
    (filter.supplierClass >= 0 && columns.supplierClass[row] !== filter.supplierClass) ||
    (filter.countries !== null && filter.countries[columns.country[row] as number] === 0) ||
    (filter.regions !== null && filter.regions[columns.region[row] as number] === 0)
  ) {
    return 0;
  }
  const parts = filter.perShare ? (columns.total[row] as number) : 1;
  const share = filter.perShare ? gpusPerRank : 1;
  if (
    (columns.cpuCores[row] as number) * share < filter.cpuCoresMin * parts ||
    (columns.memoryGib[row] as number) * share < filter.memoryGibMin * parts ||
    (columns.diskGib[row] as number) * share < filter.diskGibMin * parts
  ) {
    return 0;
  }
  return Math.floor(gpus / gpusPerRank);
}
