import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NetworkIndex } from "../../api/market/index/network-index.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import { place } from "../../api/market/placement.ts";
import type { Wish } from "../../api/market/wish.ts";
import { networkArbitrary, wishArbitrary } from "./arbitrary-network.ts";
import { indexOf } from "./fixed-market.ts";
import { naiveMatches, naivePlace, naiveRttMs } from "./naive-placement.ts";

function placed(index: NetworkIndex, wish: Wish) {
  const placement = place(index, wish);
  return placement === null
    ? null
    : { ids: placement.rows.map((row) => index.columns.ids[row]), rttMsMax: placement.rttMsMax };
}

const wishFor = (wish: Partial<Wish>): Wish => ({
  gpu: "h100-sxm-80gb",
  gpus_per_node: 8,
  nodes: 1,
  duration_seconds: 3600,
  prefer: "price",
  ...wish,
});

let nextNumber = 0;
const machine = (fields: Partial<NodeRecord>): NodeRecord => ({
  id: `nd_${String(nextNumber++).padStart(26, "0")}`,
  supplierClass: "network",
  gpu: "h100-sxm-80gb",
  gpusTotal: 8,
  gpusFree: 8,
  priceMicroUsdcPerGpuHour: 2_000_000,
  country: "DE",
  region: "de-frankfurt",
  latitude: 50.11,
  longitude: 8.68,
  interconnect: "ethernet",
  fabric: null,
  reliabilityPpm: 990_000,
  isolation: "container",
  cpuCores: 96,
  memoryGib: 1024,
  diskGib: 4000,
  status: "online",
  ...fields,
});

/** Every way to spread the ranks over the machines. */
function* everyGang(
  nodes: readonly NodeRecord[],
  wish: Wish,
  from = 0,
  gang: NodeRecord[] = [],
): Generator<NodeRecord[]> {
  if (gang.length === wish.nodes) {
    yield gang;
    return;
  }
  const node = nodes[from];
  if (node === undefined) return;
  const room = Math.floor(node.gpusFree / wish.gpus_per_node);
  for (let count = 0; count <= Math.min(room, wish.nodes - gang.length); count++) {
    yield* everyGang(nodes, wish, from + 1, [...gang, ...Array<NodeRecord>(count).fill(node)]);
  }
}

function meetsLinks(gang: readonly NodeRecord[], wish: Wish): boolean {
  const isLinked = wish.nodes > 1 && wish.interconnect !== undefined && wish.interconnect !== "ethernet";
  const first = gang[0];
  return gang.every(
    (a) =>
      (!isLinked || a.id === first?.id || (a.fabric !== null && a.fabric === first?.fabric)) &&
      gang.every((b) => wish.nodes === 1 || naiveRttMs(a, b) <= (wish.max_rtt_ms ?? Infinity)),
  );
}

const total = (gang: readonly NodeRecord[]) => gang.reduce((sum, node) => sum + node.priceMicroUsdcPerGpuHour, 0);

describe("placement", () => {
  test("gives the naive scan's answer, rank for rank", () => {
    fc.assert(
      fc.property(networkArbitrary(40), wishArbitrary, (network, wish) => {
        expect(placed(indexOf(network), wish)).toEqual(naivePlace(network, wish));
      }),
      { numRuns: 3000 },
    );
  });

  test("gives the naive scan's answer for gangs that need several sites", () => {
    const spread = networkArbitrary(40).map((network) =>
      network.map((node) => ({
        ...node,
        gpu: "cpu",
        gpusTotal: 2,
        gpusFree: 2,
        fabric: null,
        status: "online" as const,
      })),
    );
    const wishes = fc.record({
      nodes: fc.integer({ min: 2, max: 12 }),
      max_rtt_ms: fc.constantFrom(undefined, 1, 5, 8, 8, 9, 20, 70, 100, 150),
      prefer: fc.constantFrom("price", "speed", "proximity"),
    });
    let found = 0;
    fc.assert(
      fc.property(spread, wishes, (network, wish) => {
        const whole = wishFor({ ...wish, gpu: "cpu", gpus_per_node: 1 });
        const answer = placed(indexOf(network), whole);
        expect(answer).toEqual(naivePlace(network, whole));
        if (answer !== null && answer.rttMsMax > 1) found++;
      }),
      { numRuns: 1500 },
    );
    expect(found).toBeGreaterThan(300);
  });

  test("gives the naive scan's answer where many machines share few fabrics, and most need not be looked at", () => {
    const crowded = networkArbitrary(150).map((network) =>
      network.map((node, at) => ({
        ...node,
        gpu: "cpu",
        gpusTotal: 2,
        gpusFree: 2,
        fabric: `fabric-${at % 12}`,
        reliabilityPpm: node.reliabilityPpm - (at % 50),
        status: "online" as const,
      })),
    );
    const wishes = fc.record({
      nodes: fc.integer({ min: 2, max: 8 }),
      interconnect: fc.constantFrom("thunderbolt", "roce", "infiniband"),
      prefer: fc.constantFrom("price", "speed", "proximity"),
    });
    fc.assert(
      fc.property(crowded, wishes, (network, wish) => {
        const whole = wishFor({ ...wish, gpu: "cpu", gpus_per_node: 1 });
        expect(placed(indexOf(network), whole)).toEqual(naivePlace(network, whole));
      }),
      { numRuns: 500 },
    );
  });

  test("every rank's machine meets the wish, has room for all its ranks, and any two are near enough", () => {
    fc.assert(
      fc.property(networkArbitrary(40), wishArbitrary, (network, wish) => {
        const answer = placed(indexOf(network), wish);
        if (answer === null) return;
        const gang = answer.ids.map((id) => network.find((node) => node.id === id) as NodeRecord);
        expect(gang.length).toBe(wish.nodes);
        for (const node of gang) {
          expect(naiveMatches(node, wish)).toBe(true);
          const ranks = gang.filter((other) => other.id === node.id).length;
          expect(ranks * wish.gpus_per_node).toBeLessThanOrEqual(node.gpusFree);
        }
        expect(meetsLinks(gang, wish)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test("no gang at all is cheaper, and none is missed, where no distance over several sites is asked for", () => {
    const wishes = wishArbitrary
      .filter((wish) => wish.nodes <= 4 && (wish.max_rtt_ms === undefined || wish.max_rtt_ms < 1))
      .map((wish): Wish => ({ ...wish, prefer: "price" }));
    fc.assert(
      fc.property(networkArbitrary(10), wishes, (network, wish) => {
        const matching = network.filter((node) => naiveMatches(node, wish));
        let least = Infinity;
        for (const gang of everyGang(matching, wish)) if (meetsLinks(gang, wish)) least = Math.min(least, total(gang));
        const answer = placed(indexOf(network), wish);
        const gang = answer?.ids.map((id) => network.find((node) => node.id === id) as NodeRecord);
        expect(gang === undefined ? Infinity : total(gang)).toBe(least);
      }),
      { numRuns: 1500 },
    );
  });

  test("two ranks within a round trip are the cheapest such pair", () => {
    fc.assert(
      fc.property(networkArbitrary(14), wishArbitrary, fc.constantFrom(1, 5, 8, 20, 70), (network, any, limitMs) => {
        const wish: Wish = { ...any, nodes: 2, prefer: "price", max_rtt_ms: limitMs, interconnect: undefined };
        const apart = network.map((node) => ({ ...node, fabric: null }));
        const matching = apart.filter((node) => naiveMatches(node, wish));
        let least = Infinity;
        for (const gang of everyGang(matching, wish)) if (meetsLinks(gang, wish)) least = Math.min(least, total(gang));
        const answer = placed(indexOf(apart), wish);
        const gang = answer?.ids.map((id) => apart.find((node) => node.id === id) as NodeRecord);
        expect(gang === undefined ? Infinity : total(gang)).toBe(least);
      }),
      { numRuns: 1500 },
    );
  });

  test("ranks share a machine that has room for them", () => {
    const network = [machine({}), machine({ priceMicroUsdcPerGpuHour: 3_000_000 })];
    const answer = placed(indexOf(network), wishFor({ nodes: 4, gpus_per_node: 2 }));
    expect(answer).toEqual({ ids: Array(4).fill(network[0]?.id), rttMsMax: 0 });
  });

  test("a gang that asks for infiniband stands in one fabric, even where single machines are cheaper", () => {
    const alone = [1, 2, 3].map(() => machine({ interconnect: "infiniband" }));
    const fabric = [1, 2].map(() =>
      machine({ interconnect: "infiniband", fabric: "a", priceMicroUsdcPerGpuHour: 2_500_000 }),
    );
    const answer = placed(indexOf([...alone, ...fabric]), wishFor({ nodes: 2, interconnect: "infiniband" }));
    expect(answer).toEqual({ ids: fabric.map((node) => node.id), rttMsMax: 0.05 });
    expect(placed(indexOf(alone), wishFor({ nodes: 2, interconnect: "infiniband" }))).toBeNull();
  });

  test("speed prefers the faster link to the lower price, and then the more reliable machines", () => {
    const cheap = [1, 2].map(() => machine({ priceMicroUsdcPerGpuHour: 1_000_000 }));
    const fabric = [990_000, 999_000, 995_000].map((reliabilityPpm) =>
      machine({ interconnect: "roce", fabric: "b", reliabilityPpm }),
    );
    const answer = placed(indexOf([...cheap, ...fabric]), wishFor({ nodes: 2, prefer: "speed" }));
    expect(answer?.ids).toEqual([fabric[1]?.id, fabric[2]?.id]);
  });

  test("proximity prefers the nearest machines to the cheapest, and the cheapest of the nearest", () => {
    const far = machine({ priceMicroUsdcPerGpuHour: 1, latitude: 35.68, longitude: 139.69 });
    const near = [3, 2, 4].map((price) => machine({ priceMicroUsdcPerGpuHour: price * 1_000_000 }));
    const answer = placed(indexOf([far, ...near]), wishFor({ nodes: 2, prefer: "proximity" }));
    expect(answer).toEqual({ ids: [near[1]?.id, near[0]?.id], rttMsMax: 1 });
  });

  test("a limit on the round trip keeps out a cheaper machine that is too far", () => {
    const frankfurt = machine({});
    const paris = machine({ latitude: 48.86, longitude: 2.35, priceMicroUsdcPerGpuHour: 3_000_000 });
    const tokyo = machine({ latitude: 35.68, longitude: 139.69, priceMicroUsdcPerGpuHour: 1_000_000 });
    const index = indexOf([frankfurt, paris, tokyo]);
    expect(placed(index, wishFor({ nodes: 2, max_rtt_ms: 20 }))?.ids).toEqual([frankfurt.id, paris.id]);
    expect(placed(index, wishFor({ nodes: 2 }))?.ids).toEqual([tokyo.id, frankfurt.id]);
    expect(placed(index, wishFor({ nodes: 3, max_rtt_ms: 20 }))).toBeNull();
  });

  test("proximity finds a gang within the limit even where the nearest sites together are too wide", () => {
    // Along the equator: every site's nearest neighbours stand on its far side from the pair that would do.
    const at = (longitude: number, gpus: number, price: number) =>
      machine({ latitude: 0, longitude, gpusTotal: gpus, gpusFree: gpus, priceMicroUsdcPerGpuHour: price });
    const pair = [at(0, 2, 1), at(6, 2, 2)];
    const network = [...pair, at(-5, 1, 3), at(11, 1, 4)];
    const wish = wishFor({ nodes: 4, gpus_per_node: 1, prefer: "proximity", max_rtt_ms: 14.4 });
    const [a, b] = pair.map((node) => node.id);
    expect(placed(indexOf(network), wish)?.ids).toEqual([a, a, b, b]);
    expect(placed(indexOf(network), { ...wish, max_rtt_ms: 10 })).toBeNull();
  });

  test("with all GPUs taken there is no place now, but there would be", () => {
    const index = indexOf([machine({ gpusFree: 0 })]);
    expect(place(index, wishFor({}))).toBeNull();
    expect(place(index, wishFor({}), "all_free")).not.toBeNull();
    expect(place(indexOf([machine({ status: "offline" })]), wishFor({}), "all_free")).toBeNull();
  });
});
