/** The network in figures. Worked out in one pass over the columns and kept until the index changes. */
import { SUPPLIER_CLASSES } from "@volley/schema/resources/market";
import type { NetworkIndex } from "./index/network-index.ts";

/** Of machines that are online. */
export interface Count {
  nodes: number;
  gpus: number;
  gpusAvailable: number;
  /** Machines with at least one free GPU. */
  nodesAvailable: number;
}

export interface Statistics {
  readonly whole: Count;
  readonly countries: ReadonlyMap<string, Count>;
  readonly models: ReadonlyMap<string, Count>;
  readonly supplierClasses: ReadonlyMap<string, Count>;
}

const kept = new WeakMap<NetworkIndex, { readonly version: number; readonly statistics: Statistics }>();

export function statisticsOf(index: NetworkIndex): Statistics {
  const known = kept.get(index);
  if (known?.version === index.version) return known.statistics;
  const statistics = count(index);
  kept.set(index, { version: index.version, statistics });
  return statistics;
}

const none = (): Count => ({ nodes: 0, gpus: 0, gpusAvailable: 0, nodesAvailable: 0 });

function count(index: NetworkIndex): Statistics {
  const { columns } = index;
  const whole = none();
  const countries = index.countries.values.map(none);
  const models = index.gpus.values.map(none);
  const supplierClasses = SUPPLIER_CLASSES.map(none);
  for (let row = 0; row < index.length; row++) {
    const total = columns.total[row] as number;
    if (total === 0) continue;
    const free = columns.free[row] as number;
    add(whole, total, free);
    add(countries[columns.country[row] as number] as Count, total, free);
    add(models[columns.model[row] as number] as Count, total, free);
    add(supplierClasses[columns.supplierClass[row] as number] as Count, total, free);
  }
  return {
    whole,
    countries: named(index.countries.values, countries),
    models: named(index.gpus.values, models),
    supplierClasses: named(SUPPLIER_CLASSES, supplierClasses),
  };
}

function add(count: Count, total: number, free: number): void {
  count.nodes++;
  count.gpus += total;
  count.gpusAvailable += free;
  if (free > 0) count.nodesAvailable++;
}

/** By name, without those that have no machine online. */
function named(names: readonly string[], counts: readonly Count[]): Map<string, Count> {
  return new Map(names.flatMap((name, code) => (counts[code]?.nodes ? [[name, counts[code]] as const] : [])));
}
