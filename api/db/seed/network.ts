/**
 * A network of any size for trying out and measuring, the same for the same seed: MacBooks, gaming PCs, servers and
 * clusters of servers in 139 countries. At 190,000 machines it has exactly 1,000,000 GPUs of 60 models. Every GPU is free.
 */
import { gpuModel } from "@volley/schema/gpus";
import { type Id, makeId } from "@volley/schema/ids";
import type { Interconnect, Isolation, SupplierClass } from "@volley/schema/resources/market";
import { CITIES, type City } from "./cities.ts";
import { type MachineSize, MODEL_SUPPLY, type ModelSupply } from "./model-supply.ts";
import { RandomNumbers, weightedPick } from "./random-numbers.ts";

export interface SeedSupplier {
  readonly id: Id<"supplier">;
  readonly name: string;
  readonly supplierClass: SupplierClass;
}

export interface SeedNode {
  readonly id: Id<"node">;
  readonly supplierId: Id<"supplier">;
  readonly supplierClass: SupplierClass;
  readonly gpu: string;
  readonly gpusTotal: number;
  readonly gpusFree: number;
  readonly priceMicroUsdcPerGpuHour: number;
  readonly country: string;
  readonly region: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly interconnect: Interconnect;
  readonly fabric: string | null;
  readonly reliabilityPpm: number;
  readonly isolation: Isolation;
  readonly cpuCores: number;
  readonly memoryGib: number;
  readonly diskGib: number;
  readonly status: "online";
}

export interface SeedOptions {
  readonly nodes: number;
  readonly seed: number;
}

const GPUS_PER_NODE = 1_000_000 / 190_000;
const SIZE_SHARES: readonly (readonly [MachineSize, number])[] = [
  [8, 0.555],
  [4, 0.115],
  [2, 0.05],
];
/** Ids carry a moment; seeded ones all carry this, 1 January 2026, plus one millisecond each. */
const FIRST_ID_MS = 1_767_225_600_000;
const NODES_PER_SUPPLIER = 25;
const UPSTREAM_SUPPLIERS = 6;
/** Of servers in data centres, the share that Volley would rent from other clouds. */
const UPSTREAM_SHARE = 0.08;

/** How many machines of each size give the wanted number of GPUs, exactly where that is possible. */
export function machineSizes(nodes: number): Readonly<Record<MachineSize, number>> {
  const counts: Record<MachineSize, number> = { 1: nodes, 2: 0, 4: 0, 8: 0 };
  for (const [size, share] of SIZE_SHARES) {
    counts[size] = Math.floor(nodes * share);
    counts[1] -= counts[size];
  }
  let missing = Math.round(nodes * GPUS_PER_NODE) - counts[1] - 2 * counts[2] - 4 * counts[4] - 8 * counts[8];
  const swap = (from: MachineSize, to: MachineSize) => {
    const swaps = Math.max(0, Math.min(counts[from], Math.floor(missing / (to - from))));
    counts[from] -= swaps;
    counts[to] += swaps;
    missing -= swaps * (to - from);
  };
  swap(4, 8);
  swap(2, 1);
  swap(1, 2);
  return counts;
}

export function seedSuppliers(options: SeedOptions): SeedSupplier[] {
  const random = new RandomNumbers(options.seed ^ 0x5bd1e995);
  const count = UPSTREAM_SUPPLIERS + Math.ceil(options.nodes / NODES_PER_SUPPLIER);
  return Array.from({ length: count }, (_, number) => {
    const isUpstream = number < UPSTREAM_SUPPLIERS;
    return {
      id: makeId("supplier", FIRST_ID_MS + number, random.bytes(10)),
      name: isUpstream ? `Upstream cloud ${number + 1}` : `Supplier ${number + 1 - UPSTREAM_SUPPLIERS}`,
      supplierClass: isUpstream ? "upstream" : "network",
    };
  });
}

/** What the machines that stand together have in common. */
interface Group {
  readonly model: ModelSupply;
  readonly size: MachineSize;
  readonly city: City;
  readonly supplier: SeedSupplier;
  readonly fabric: string | null;
  readonly machines: number;
  /** Price before the noise of each machine. */
  readonly priceMicroUsdc: number;
  readonly isolation: Isolation;
}

export function* seedNodes(options: SeedOptions): Generator<SeedNode> {
  const random = new RandomNumbers(options.seed);
  const suppliers = seedSuppliers(options);
  const left: Record<MachineSize, number> = { ...machineSizes(options.nodes) };
  const pickCity = weightedPick(CITIES);
  let number = 0;
  let fabrics = 0;
  for (const size of [8, 4, 2, 1] as const) {
    const models = MODEL_SUPPLY.map((model) => ({ model, weight: model.weights[size] ?? 0 }));
    const pickModel = weightedPick(models.filter(({ weight }) => weight > 0));
    while (left[size] > 0) {
      const { model } = pickModel(random);
      const group = newGroup(random, { model, size, city: pickCity(random), suppliers, left: left[size], fabrics });
      if (group.fabric !== null) fabrics++;
      for (let machine = 0; machine < group.machines; machine++) yield newNode(random, group, number++);
      left[size] -= group.machines;
    }
  }
}

interface GroupParts {
  readonly model: ModelSupply;
  readonly size: MachineSize;
  readonly city: City;
  readonly suppliers: readonly SeedSupplier[];
  readonly left: number;
  readonly fabrics: number;
}

function newGroup(random: RandomNumbers, parts: GroupParts): Group {
  const { model, size, city } = parts;
  const isUpstream = model.kind === "server" && random.next() < UPSTREAM_SHARE;
  const supplier = isUpstream
    ? parts.suppliers[random.whole(0, UPSTREAM_SUPPLIERS - 1)]
    : parts.suppliers[random.whole(UPSTREAM_SUPPLIERS, parts.suppliers.length - 1)];
  const machines = Math.min(parts.left, fabricSize(random, model));
  const isolation = pickIsolation(random, model);
  const price =
    model.priceMicroUsdc * (1 + 0.18 * random.bell()) * (isUpstream ? 1.22 : 1) * (isolation === "vm" ? 1.04 : 1);
  return {
    model,
    size,
    city,
    supplier: supplier as SeedSupplier,
    fabric: machines > 1 ? `fabric-${parts.fabrics + 1}` : null,
    machines,
    priceMicroUsdc: price,
    isolation,
  };
}

/** One machine on its own, or as many as share a fabric. */
function fabricSize(random: RandomNumbers, model: ModelSupply): number {
  const isLinked = model.link !== null && random.next() < (model.kind === "mac" ? 0.15 : 0.6);
  if (!isLinked) return 1;
  switch (model.link) {
    case "thunderbolt":
      return random.whole(2, 4);
    case "nvlink":
      return 18;
    default:
      return random.pick([4, 8, 8, 16, 16, 32, 64]);
  }
}

function pickIsolation(random: RandomNumbers, model: ModelSupply): Isolation {
  if (model.kind === "mac") return "process";
  const draw = random.next();
  if (model.kind === "home") return draw < 0.85 ? "container" : "gvisor";
  return draw < 0.45 ? "container" : draw < 0.6 ? "gvisor" : "vm";
}

/** Homes lie around their city, in degrees. */
function suburb(random: RandomNumbers): number {
  return Math.round(30 * random.bell()) / 100;
}

function newNode(random: RandomNumbers, group: Group, number: number): SeedNode {
  const { model, size, city, supplier } = group;
  const isHome = model.kind !== "server";
  const priceMicroUsdc = group.priceMicroUsdc * (1 + (isHome ? 0.2 : 0.03) * random.bell());
  // Many are excellent, few are poor.
  const worstPpm = isHome ? 100_000 : 15_000;
  const cores = isHome ? random.pick([8, 12, 16, 24, 32]) : random.pick([12, 16, 24, 32]) * size;
  const memoryGib = isHome ? random.pick([16, 32, 64, 128]) * size : random.pick([64, 96, 128, 256]) * size;
  return {
    id: makeId("node", FIRST_ID_MS + number, random.bytes(10)),
    supplierId: supplier.id,
    supplierClass: supplier.supplierClass,
    gpu: model.gpu,
    gpusTotal: size,
    gpusFree: size,
    priceMicroUsdcPerGpuHour: Math.max(1000, Math.round(priceMicroUsdc / 100) * 100),
    country: city.country,
    region: `${city.country.toLowerCase()}-${city.name}`,
    latitude: city.latitude + (isHome ? suburb(random) : 0),
    longitude: city.longitude + (isHome ? suburb(random) : 0),
    interconnect: group.fabric === null ? "ethernet" : (model.link ?? "ethernet"),
    fabric: group.fabric,
    reliabilityPpm: 1_000_000 - Math.floor(worstPpm * random.next() ** 3) - (isHome ? 2000 : 100),
    isolation: group.isolation,
    cpuCores: cores,
    memoryGib: model.kind === "mac" ? (gpuModel(model.gpu)?.vramGib ?? 16) : memoryGib,
    diskGib: isHome ? random.pick([200, 500, 1000, 2000]) : random.pick([500, 1000, 2000, 4000]) * size,
    status: "online",
  };
}
