/** Random small networks and wishes, dense in ties and near misses. */
import fc from "fast-check";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import type { Wish } from "../../api/market/wish.ts";
import { INTERCONNECTS, ISOLATIONS, makeId, SUPPLIER_CLASSES } from "../../schema/index.ts";

export const GPUS = ["h100-sxm-80gb", "rtx-4090-24gb", "rtx-6000-ada-48gb"] as const;

const PLACES = [
  { country: "DE", region: "de-frankfurt", latitude: 50.11, longitude: 8.68 },
  { country: "NL", region: "nl-amsterdam", latitude: 52.37, longitude: 4.9 },
  { country: "GB", region: "gb-london", latitude: 51.51, longitude: -0.13 },
  { country: "FR", region: "fr-paris", latitude: 48.86, longitude: 2.35 },
  { country: "US", region: "us-ashburn", latitude: 39.04, longitude: -77.49 },
  { country: "US", region: "us-dallas", latitude: 32.78, longitude: -96.8 },
  { country: "JP", region: "jp-tokyo", latitude: 35.68, longitude: 139.69 },
  { country: "FJ", region: "fj-suva", latitude: -18.14, longitude: 178.44 },
  { country: "WS", region: "ws-apia", latitude: -13.83, longitude: -171.77 },
] as const;

const place = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PLACES) },
  {
    weight: 1,
    arbitrary: fc.record({
      country: fc.constantFrom("DE", "US", "AQ"),
      region: fc.constantFrom("somewhere", "us-dallas"),
      latitude: fc.double({ min: -90, max: 90, noNaN: true }),
      longitude: fc.double({ min: -180, max: 180, noNaN: true }),
    }),
  },
);

const machine = fc.record({
  place,
  gpu: fc.constantFrom(GPUS[0], GPUS[0], ...GPUS),
  gpusTotal: fc.constantFrom(1, 2, 4, 8, 8),
  taken: fc.constantFrom(0, 0, 0, 1, 3, 8),
  price: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3_000_000 })),
  interconnect: fc.constantFrom(...INTERCONNECTS),
  fabric: fc.constantFrom(null, null, "fabric-1", "fabric-2", "fabric-3"),
  reliabilityPpm: fc.constantFrom(900_000, 990_000, 990_001, 999_000, 1_000_000),
  isolation: fc.constantFrom(...ISOLATIONS),
  supplierClass: fc.constantFrom(...SUPPLIER_CLASSES),
  cpuCores: fc.constantFrom(4, 16, 96),
  memoryGib: fc.constantFrom(8, 64, 1024),
  diskGib: fc.constantFrom(50, 1000, 20_000),
  status: fc.constantFrom("online", "online", "online", "online", "offline", "draining"),
});

type Machine = typeof machine extends fc.Arbitrary<infer Value> ? Value : never;

export function toRecord({ place: where, taken, price, ...rest }: Machine, number: number): NodeRecord {
  const random = new Uint8Array(10);
  new DataView(random.buffer).setUint32(6, number);
  return {
    ...rest,
    ...where,
    id: makeId("node", 1_700_000_000_000, random),
    gpusFree: Math.max(0, rest.gpusTotal - taken),
    priceMicroUsdcPerGpuHour: price,
  };
}

export const networkArbitrary = (machinesMax: number): fc.Arbitrary<NodeRecord[]> =>
  fc.array(machine, { minLength: 1, maxLength: machinesMax, size: "max" }).map((machines) => machines.map(toRecord));

export const recordArbitrary = fc.tuple(machine, fc.nat(40)).map(([value, number]) => toRecord(value, number));

/** Most wishes leave most fields out, or next to none could be met. */
const sometimes = <Value>(arbitrary: fc.Arbitrary<Value>, outOf: number) =>
  fc.oneof({ weight: 1, arbitrary }, { weight: outOf - 1, arbitrary: fc.constant(undefined) });
const rarely = <Value>(arbitrary: fc.Arbitrary<Value>) => sometimes(arbitrary, 16);

export const wishArbitrary: fc.Arbitrary<Wish> = fc.record({
  gpu: fc.constantFrom(GPUS[0], GPUS[0], ...GPUS),
  gpus_per_node: fc.constantFrom(1, 1, 1, 2, 2, 3, 4, 8),
  nodes: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 2, max: 24 })),
  duration_seconds: fc.constant(3600),
  countries: rarely(fc.subarray(["DE", "US", "NL", "JP", "XX"], { minLength: 1 })),
  regions: rarely(fc.subarray(["de-frankfurt", "us-dallas", "somewhere", "nowhere"], { minLength: 1 })),
  interconnect: rarely(fc.constantFrom(...INTERCONNECTS)),
  max_rtt_ms: sometimes(fc.constantFrom(0.001, 0.05, 0.3, 1, 5, 8, 8, 20, 20, 70, 200), 2),
  min_reliability: rarely(fc.constantFrom(0, 0.99, 0.990001, 0.999, 1)),
  isolation: rarely(fc.constantFrom(...ISOLATIONS)),
  supplier_class: rarely(fc.constantFrom(...SUPPLIER_CLASSES)),
  max_price_per_gpu_hour: rarely(fc.constantFrom("0", "0.000003", "1", "2.5")),
  min_cpu_cores: rarely(fc.constantFrom(1, 8, 12)),
  min_memory_gib: rarely(fc.constantFrom(8, 16, 128)),
  min_disk_gib: rarely(fc.constantFrom(25, 500)),
  prefer: fc.constantFrom("price", "speed", "proximity"),
});
