import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Context } from "../../api/context.ts";
import { getNetwork } from "../../api/market/get-network.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import { gpuCursor, listGpus } from "../../api/market/list-gpus.ts";
import { listOffers, offerCursor } from "../../api/market/list-offers.ts";
import {
  encodeCursor,
  INTERCONNECTS,
  type InputOf,
  ISOLATIONS,
  type Offer,
  OPERATIONS,
  parseUsdc,
  type RequestOf,
  SUPPLIER_CLASSES,
} from "../../schema/index.ts";
import { GPUS, networkArbitrary } from "./arbitrary-network.ts";
import { fixedMarket } from "./fixed-market.ts";

type OffersInput = InputOf<(typeof OPERATIONS)["offers.list"]>;

const contextOf = (network: readonly NodeRecord[]) => ({ market: fixedMarket(network) }) as unknown as Context;
const offersInput = (request: RequestOf<(typeof OPERATIONS)["offers.list"]>) =>
  OPERATIONS["offers.list"].input.parse(request);

function sampleNetwork(): NodeRecord[] {
  const large = networkArbitrary(40).filter((network) => network.length > 20);
  return fc.sample(large, { numRuns: 1, seed: 3 })[0] ?? [];
}

const rarely = <Value>(arbitrary: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 1, arbitrary }, { weight: 4, arbitrary: fc.constant(undefined) });
const filters = fc.record({
  gpu: rarely(fc.constantFrom(...GPUS)),
  gpus: fc.constantFrom(1, 1, 2, 5),
  nodes: fc.constantFrom(1, 1, 2, 4),
  countries: rarely(fc.subarray(["DE", "US", "NL", "XX"], { minLength: 1 })),
  regions: rarely(fc.subarray(["de-frankfurt", "us-dallas"], { minLength: 1 })),
  interconnect: rarely(fc.constantFrom(...INTERCONNECTS)),
  min_reliability: rarely(fc.constantFrom(0.99, 0.999)),
  isolation: rarely(fc.constantFrom(...ISOLATIONS)),
  supplier_class: rarely(fc.constantFrom(...SUPPLIER_CLASSES)),
  max_price_per_gpu_hour: rarely(fc.constantFrom("0.000003", "1.5")),
  min_cpu_cores: rarely(fc.constantFrom(16, 96)),
  min_memory_gib: rarely(fc.constantFrom(64, 1024)),
  min_disk_gib: rarely(fc.constantFrom(1000)),
});

function matches(node: NodeRecord, wish: Omit<OffersInput, "limit" | "cursor">): boolean {
  const atLeast = (value: number, wanted: number | undefined) => wanted === undefined || value >= wanted;
  return (
    node.status === "online" &&
    node.gpusFree >= wish.gpus &&
    (wish.gpu === undefined || node.gpu === wish.gpu) &&
    (wish.countries?.includes(node.country) ?? true) &&
    (wish.regions?.includes(node.region) ?? true) &&
    atLeast(INTERCONNECTS.indexOf(node.interconnect), wish.interconnect && INTERCONNECTS.indexOf(wish.interconnect)) &&
    atLeast(node.reliabilityPpm / 1e6, wish.min_reliability) &&
    atLeast(ISOLATIONS.indexOf(node.isolation), wish.isolation && ISOLATIONS.indexOf(wish.isolation)) &&
    (wish.supplier_class === undefined || node.supplierClass === wish.supplier_class) &&
    (wish.max_price_per_gpu_hour === undefined ||
      node.priceMicroUsdcPerGpuHour <= Number(parseUsdc(wish.max_price_per_gpu_hour))) &&
    atLeast(node.cpuCores, wish.min_cpu_cores) &&
    atLeast(node.memoryGib, wish.min_memory_gib) &&
    atLeast(node.diskGib, wish.min_disk_gib)
  );
}

function naiveOffers(network: readonly NodeRecord[], wish: Omit<OffersInput, "limit" | "cursor">): string[] {
  const matching = network.filter((node) => matches(node, wish));
  return matching
    .filter((node) => matching.filter((other) => other.gpu === node.gpu).length >= wish.nodes)
    .sort(
      (a, b) =>
        a.priceMicroUsdcPerGpuHour - b.priceMicroUsdcPerGpuHour ||
        b.reliabilityPpm - a.reliabilityPpm ||
        (a.id < b.id ? -1 : 1),
    )
    .map((node) => node.id);
}

describe("offers.list", () => {
  test("in pages of any size shows each machine that a naive scan finds, once, in order", async () => {
    await fc.assert(
      fc.asyncProperty(networkArbitrary(40), filters, fc.integer({ min: 1, max: 7 }), async (network, wish, limit) => {
        const ctx = contextOf(network);
        const seen: Offer[] = [];
        let cursor: string | null = null;
        for (let page = 0; page < 100; page++) {
          const input: OffersInput = { ...wish, limit, ...(cursor === null ? {} : { cursor }) };
          const answer = await listOffers(ctx, input);
          expect(answer.data.length).toBeLessThanOrEqual(limit);
          seen.push(...answer.data);
          cursor = answer.next_cursor;
          if (cursor === null) break;
          expect(cursor).toBe(offerCursor(answer.data.at(-1) as Offer));
        }
        expect(seen.map((offer) => offer.node_id)).toEqual(naiveOffers(network, wish));
      }),
      { numRuns: 500 },
    );
  });

  test("shows what the contract says", async () => {
    const network = sampleNetwork();
    const page = await listOffers(contextOf(network), offersInput({ limit: 100 }));
    expect(page.data.length).toBeGreaterThan(0);
    expect(OPERATIONS["offers.list"].output.parse(page)).toEqual(page);
  });

  test("goes on after a machine that is gone by then", async () => {
    const network = sampleNetwork();
    const first = await listOffers(contextOf(network), offersInput({ limit: 2 }));
    const [a, b] = first.data.map((offer) => offer.node_id);
    const rest = network.filter((node) => node.id !== b);
    const next = await listOffers(contextOf(rest), offersInput({ limit: 100, cursor: first.next_cursor ?? "" }));
    const expected = naiveOffers(rest, offersInput({})).filter((id) => id !== a);
    expect(next.data.map((offer) => offer.node_id)).toEqual(expected);
  });

  test.each([
    "",
    "!",
    "eyJ",
    encodeCursor({ key: "x", id: "y" }),
    encodeCursor({ key: "gpu", id: "cpu" }),
    "A".repeat(600),
  ])("refuses the cursor %j", async (cursor) => {
    await expect(listOffers(contextOf([]), { gpus: 1, nodes: 1, limit: 5, cursor })).rejects.toMatchObject({
      code: "invalid_cursor",
    });
  });

  test("knows no such model", async () => {
    await expect(listOffers(contextOf([]), offersInput({ gpu: "h1000" }))).rejects.toMatchObject({
      code: "unknown_gpu",
    });
  });
});

describe("gpus.list and network.get", () => {
  test("add up to the machines that are online, page by page", async () => {
    await fc.assert(
      fc.asyncProperty(networkArbitrary(40), fc.integer({ min: 1, max: 3 }), async (network, limit) => {
        const ctx = contextOf(network);
        const first = await listGpus(ctx, { limit });
        const second =
          first.next_cursor === null ? null : await listGpus(ctx, { limit: 100, cursor: first.next_cursor });
        const gpus = [...first.data, ...(second?.data ?? [])];
        const online = network.filter((node) => node.status === "online");
        const slugs = [...new Set(online.map((node) => node.gpu))].sort();
        expect(gpus.map((gpu) => gpu.gpu)).toEqual(slugs);
        if (first.next_cursor !== null)
          expect(first.next_cursor).toBe(gpuCursor(first.data.at(-1) as (typeof gpus)[number]));
        for (const gpu of gpus) {
          const machines = online.filter((node) => node.gpu === gpu.gpu);
          const free = machines.filter((node) => node.gpusFree > 0);
          const prices = free.map((node) => node.priceMicroUsdcPerGpuHour);
          expect(gpu.gpus_total).toBe(machines.reduce((sum, node) => sum + node.gpusTotal, 0));
          expect(gpu.gpus_available).toBe(machines.reduce((sum, node) => sum + node.gpusFree, 0));
          expect(gpu.nodes_available).toBe(free.length);
          const price = (money: { amount: string } | null) =>
            money === null ? Infinity : Number(parseUsdc(money.amount));
          expect(price(gpu.price_per_gpu_hour_min)).toBe(Math.min(...prices));
          expect(gpu.price_per_gpu_hour_max === null ? -Infinity : price(gpu.price_per_gpu_hour_max)).toBe(
            Math.max(...prices),
          );
        }
        const whole = await getNetwork(ctx, {});
        expect(OPERATIONS["network.get"].output.parse(whole)).toEqual(whole);
        for (const counts of [whole.countries, whole.models, whole.supplier_classes]) {
          expect(counts.reduce((sum, count) => sum + count.gpus, 0)).toBe(whole.gpus);
          expect(counts.reduce((sum, count) => sum + count.nodes, 0)).toBe(online.length);
          expect(counts.reduce((sum, count) => sum + count.gpus_available, 0)).toBe(whole.gpus_available);
        }
        expect(whole.utilisation).toBeCloseTo(whole.gpus === 0 ? 0 : 1 - whole.gpus_available / whole.gpus);
      }),
      { numRuns: 200 },
    );
  });

  test("follow the network", async () => {
    const network = sampleNetwork();
    const ctx = contextOf(network);
    const before = await getNetwork(ctx, {});
    const free = network.find((node) => node.status === "online" && node.gpusFree > 0) as NodeRecord;
    ctx.market.take(free.id, 1);
    expect((await getNetwork(ctx, {})).gpus_available).toBe(before.gpus_available - 1);
  });

  test.each(["", "x", encodeCursor({ key: "1:2", id: "cpu" })])("refuse the cursor %j", async (cursor) => {
    await expect(listGpus(contextOf([]), { limit: 5, cursor })).rejects.toMatchObject({ code: "invalid_cursor" });
  });
});
