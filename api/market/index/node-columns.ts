/** Machines as the database sends them: each column one text, its values parted by newlines. */
import { Buffer } from "node:buffer";
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

/** In the order in which they are asked for. */
export const COLUMN_NAMES = [
  "id",
  "supplier_class",
  "gpu",
  "gpus_total",
  "gpus_free",
  "price",
  "country",
  "region",
  "latitude",
  "longitude",
  "interconnect",
  /** Empty for none. */
  "fabric",
  "reliability",
  "isolation",
  "cpu_cores",
  "memory_gib",
  "disk_gib",
  "status",
] as const;

export type ColumnName = (typeof COLUMN_NAMES)[number];

export interface NodeColumns {
  readonly count: number;
  readonly texts: Readonly<Record<ColumnName, Uint8Array>>;
}

/** Adds rows to an index that is being loaded, without making an object or a string for each value. */
export function appendColumns(index: NetworkIndex, from: NodeColumns): void {
  const { columns } = index;
  const { count, texts } = from;
  const first = columns.length;
  index.reserve(count);
  readStrings(texts.id, count, (_, id) => index.append(id));
  const codes = (text: Uint8Array, target: { [row: number]: number }, codeOf: (value: string) => number) =>
    readCodes(text, count, codeOf, (at, code) => {
      target[first + at] = code;
    });
  const whole = (text: Uint8Array, target: { [row: number]: number }) =>
    readWhole(text, count, (at, value) => {
      target[first + at] = value;
    });
  codes(texts.gpu, columns.model, (gpu) => index.modelCode(gpu));
  codes(texts.country, columns.country, (country) => index.countries.code(country));
  codes(texts.region, columns.region, (region) => index.regions.code(region));
  codes(texts.fabric, columns.fabric, (fabric) => index.fabrics.code(fabric));
  codes(texts.interconnect, columns.interconnect, (value) => INTERCONNECTS.indexOf(value as Interconnect));
  codes(texts.isolation, columns.isolation, (value) => ISOLATIONS.indexOf(value as Isolation));
  codes(texts.supplier_class, columns.supplierClass, (value) => SUPPLIER_CLASSES.indexOf(value as SupplierClass));
  whole(texts.gpus_total, columns.total);
  whole(texts.gpus_free, columns.free);
  whole(texts.price, columns.price);
  whole(texts.reliability, columns.reliability);
  whole(texts.cpu_cores, columns.cpuCores);
  whole(texts.memory_gib, columns.memoryGib);
  whole(texts.disk_gib, columns.diskGib);
  readSites(index, from, first);
  readCodes(
    texts.status,
    count,
    (status) => (status === "online" ? 1 : 0),
    (at, online) => {
      if (online === 1) return;
      columns.free[first + at] = 0;
      columns.total[first + at] = 0;
    },
  );
}

function readSites(index: NetworkIndex, { count, texts }: NodeColumns, first: number): void {
  const latitudes = new Int32Array(count);
  readWhole(texts.latitude, count, (at, value) => {
    latitudes[at] = value;
  });
  readWhole(texts.longitude, count, (at, longitude) => {
    const latitude = latitudes[at] as number;
    index.columns.site[first + at] = index.siteCode(latitude / COORDINATE_STEPS, longitude / COORDINATE_STEPS);
  });
}

/** The machines one by one, for a few. */
export function toRecords(from: NodeColumns): NodeRecord[] {
  if (from.count === 0) return [];
  const lists = Object.fromEntries(
    COLUMN_NAMES.map((name) => [name, Buffer.from(from.texts[name]).toString("utf8").split("\n")]),
  ) as Record<ColumnName, string[]>;
  return Array.from({ length: from.count }, (_, at) => {
    const text = (name: ColumnName) => lists[name][at] ?? "";
    const number = (name: ColumnName) => Number(text(name));
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
