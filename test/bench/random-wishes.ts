/** Wishes as renters might have them: mostly modest, some picky, some large. */
import { RandomNumbers, weightedPick } from "../../api/db/seed/random-numbers.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import type { Wish } from "../../api/market/wish.ts";

/** Takes GPUs away at random, as renters would have done: about `share` of all. */
export function rentedOut(network: readonly NodeRecord[], share: number, seed: number): NodeRecord[] {
  const random = new RandomNumbers(seed);
  return network.map((node) => {
    let gpusFree = 0;
    for (let gpu = 0; gpu < node.gpusTotal; gpu++) if (random.next() >= share) gpusFree++;
    // Whole machines are rented more often than single GPUs of them.
    const isWhole = random.next() < 0.5;
    return { ...node, gpusFree: isWhole ? (random.next() < share ? 0 : node.gpusTotal) : gpusFree };
  });
}

export function randomWishes(network: readonly NodeRecord[], count: number, seed: number): Wish[] {
  const random = new RandomNumbers(seed);
  const models = [...Map.groupBy(network, (node) => node.gpu)].map(([gpu, nodes]) => ({ gpu, weight: nodes.length }));
  const pickModel = weightedPick(models);
  const maybe = <Value>(chance: number, value: () => Value) => (random.next() < chance ? value() : undefined);
  return Array.from({ length: count }, () => {
    const { gpu } = pickModel(random);
    const sample = random.pick(network.filter((node) => node.gpu === gpu));
    return {
      gpu,
      gpus_per_node: Math.min(sample.gpusTotal, random.pick([1, 1, 2, 4, 8, 8])),
      nodes: random.pick([1, 1, 1, 1, 1, 2, 2, 2, 4, 8, 16, 64]),
      duration_seconds: 3600,
      countries: maybe(0.15, () => [sample.country, random.pick(network).country]),
      regions: maybe(0.03, () => [sample.region]),
      interconnect: maybe(0.12, () => sample.interconnect),
      max_rtt_ms: maybe(0.12, () => random.pick([2, 5, 10, 20, 50, 100])),
      min_reliability: maybe(0.2, () => random.pick([0.95, 0.99, 0.995, 0.999])),
      isolation: maybe(0.1, () => sample.isolation),
      supplier_class: maybe(0.05, () => sample.supplierClass),
      max_price_per_gpu_hour: maybe(0.15, () => (sample.priceMicroUsdcPerGpuHour / 1e6).toFixed(6)),
      min_cpu_cores: maybe(0.05, () => random.pick([4, 16])),
      min_memory_gib: maybe(0.08, () => random.pick([16, 64, 256])),
      min_disk_gib: maybe(0.03, () => 500),
      prefer: random.pick(["price", "price", "price", "price", "speed", "proximity"] as const),
    };
  });
}
