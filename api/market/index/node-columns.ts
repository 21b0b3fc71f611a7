/** Machines as the database sends them: each column one text, its values joined by newlines. */
import {
  INTERCONNECTS,
  type Interconnect,
  ISOLATIONS,
  type Isolation,
  SUPPLIER_CLASSES,
  type SupplierClass,
} from "@volley/schema/resources/market";
import { readCodes, readStrings, readWhole } from "./column-text.ts";
import type { NetworkIndex } from "./network-index.ts";
import type { NodeRecord } from "./node-record.ts";

/** Coordinates travel as whole ten-thousandths of a degree, which the database prints in a third of the time. */
export const COORDINATE_STEPS = 10_000;

export interface NodeColumns {
  readonly count: number;
  readonly id: string;
  readonly supplier_class: string;
  readonly gpu: string;
  readonly gpus_total: string;
  readonly gpus_free: string;
  readonly price: string;
  readonly country: string;
  readonly region: string;
  readonly latitude: string;
  readonly longitude: string;
  readonly interconnect: string;
  /** Empty for none. */
  readonly fabric: string;
  readonly reliability: string;
  readonly isolation: string;
  readonly cpu_cores: string;
  readonly memory_gib: string;
  readonly disk_gib: string;
  readonly status: string;
}

/** Adds rows to an index that is being loaded, without making an object or a string for each value. */
export function appendColumns(index: NetworkIndex, from: NodeColumns): void {
  const { columns } = index;
  const { count } = from;
  const first = columns.length;
  index.reserve(count);
  readStrings(from.id, count, (_, id) => index.append(id));
  const codes = (text: string, target: { [row: number]: number }, codeOf: (value: string) => number) =>
    readCodes(text, count, codeOf, (at, code) => {
      target[first + at] = code;
    });
  const whole = (text: string, target: { [row: number]: number }) =>
    readWhole(text, count, (at, value) => {
      target[first + at] = value;
    });
  codes(from.gpu, columns.model, (gpu) => index.modelCode(gpu));
  codes(from.country, columns.country, (country) => index.countries.code(country));
  codes(from.region, columns.region, (region) => index.regions.code(region));
  codes(from.fabric, columns.fabric, (fabric) => index.fabrics.code(fabric));
  codes(from.interconnect, columns.interconnect, (value) => INTERCONNECTS.indexOf(value as Interconnect));
  codes(from.isolation, columns.isolation, (value) => ISOLATIONS.indexOf(value as Isolation));
  codes(from.supplier_class, columns.supplierClass, (value) => SUPPLIER_CLASSES.indexOf(value as SupplierClass));
  whole(from.gpus_total, columns.total);
  whole(from.gpus_free, columns.free);
  whole(from.price, columns.price);
  whole(from.reliability, columns.reliability);
  whole(from.cpu_cores, columns.cpuCores);
  whole(from.memory_gib, columns.memoryGib);
  whole(from.disk_gib, columns.diskGib);
  readSites(index, from, first);
  readCodes(
    from.status,
    count,
    (status) => (status === "online" ? 1 : 0),
    (at, online) => {
      if (online === 1) return;
      columns.free[first + at] = 0;
      columns.total[first + at] = 0;
    },
  );
}

function readSites(index: NetworkIndex, from: NodeColumns, first: number): void {
  const latitudes = new Int32Array(from.count);
  readWhole(from.latitude, from.count, (at, value) => {
    latitudes[at] = value;
  });
  readWhole(from.longitude, from.count, (at, longitude) => {
    const latitude = latitudes[at] as number;
    index.columns.site[first + at] = index.siteCode(latitude / COORDINATE_STEPS, longitude / COORDINATE_STEPS);
  });
}

/** The machines one by one, for a few. */
export function toRecords(from: NodeColumns): NodeRecord[] {
  if (from.count === 0) return [];
  const lists = Object.fromEntries(
    Object.entries(from).map(([name, text]) => [name, String(text).split("\n")]),
  ) as Record<keyof NodeColumns, string[]>;
  return Array.from({ length: from.count }, (_, at) => {
    const text = (name: keyof NodeColumns) => lists[name][at] ?? "";
    const number = (name: keyof NodeColumns) => Number(text(name));
    return {
      id: text("id"),
      supplierClass: text("supplier_class") as SupplierClass,
      gpu: text("gpu"),
      gpusTotal: number("gpus_total"),
      gpusFree: number("gpus_free"),
      priceMicroUsdcPerGpuHour: number("price"),
      country: text("country"),
      region: text("region"),
      latitude: number("latitude") / COORDINATE_STEPS,
      longitude: number("longitude") / COORDINATE_STEPS,
      interconnect: text("interconnect") as Interconnect,
      fabric: text("fabric") || null,
      reliabilityPpm: number("reliability"),
      isolation: text("isolation") as Isolation,
      cpuCores: number("cpu_cores"),
      memoryGib: number("memory_gib"),
      diskGib: number("disk_gib"),
      status: text("status") as NodeRecord["status"],
    };
  });
}
