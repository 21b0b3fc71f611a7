import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Context } from "../../api/context.ts";
import { explainUnmet } from "../../api/market/alternatives.ts";
import { createQuote } from "../../api/market/create-quote.ts";
import { getQuote } from "../../api/market/get-quote.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import { bill } from "../../api/market/price.ts";
import { verifyQuote } from "../../api/market/quote-token.ts";
import { nearestGpus } from "../../api/market/require-gpu.ts";
import { CONSTRAINTS, type Wish, withoutConstraints } from "../../api/market/wish.ts";
import { type Alternative, makeId, OPERATIONS, parseUsdc, type RequestOf } from "../../schema/index.ts";
import type { World } from "../clusters/world.ts";
import { newWorld } from "../clusters/world.ts";
import { TEST_SETTINGS } from "../harness/services.ts";
import { networkArbitrary, wishArbitrary } from "./arbitrary-network.ts";
import { fixedMarket, indexOf } from "./fixed-market.ts";
import { naivePlace } from "./naive-placement.ts";

type Request = RequestOf<(typeof OPERATIONS)["quotes.create"]>;

const parse = (request: Request): Wish => OPERATIONS["quotes.create"].input.parse(request);

const machine = (number: number, fields: Partial<NodeRecord> = {}): NodeRecord => ({
  id: makeId("node", 1_700_000_000_000 + number, new Uint8Array(10)),
  supplierClass: "network",
  gpu: "h100-sxm-80gb",
  gpusTotal: 8,
  gpusFree: 8,
  priceMicroUsdcPerGpuHour: 2_000_000 + number,
  country: "DE",
  region: "de-frankfurt",
  latitude: 50.11,
  longitude: 8.68,
  interconnect: "ethernet",
  fabric: null,
  reliabilityPpm: 998_000,
  isolation: "container",
  cpuCores: 96,
  memoryGib: 1024,
  diskGib: 4000,
  status: "online",
  ...fields,
});

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterAll(() => world.close());

const withMarket = (network: readonly NodeRecord[]): Context => world.anyone({ market: fixedMarket(network) });

const quoteOf = (network: readonly NodeRecord[], request: Request) => createQuote(withMarket(network), parse(request));

const refusal = async (network: readonly NodeRecord[], request: Request) => {
  const error = await quoteOf(network, request).then(
    () => "quoted",
    (reason: unknown) => reason,
  );
  return error as {
    code: string;
    message: string;
    extensions: { constraint: string; alternatives: Alternative[]; nearest: string[] };
  };
};

describe("a quote", () => {
  const network = [
    machine(1),
    machine(2),
    machine(3, { country: "NL", region: "nl-amsterdam", latitude: 52.37, longitude: 4.9 }),
  ];

  test("names plan, lines and total, and its token says the same", async () => {
    const request = { gpu: "H100 SXM", nodes: 2, gpus_per_node: 8, duration_seconds: 5000 };
    const quote = await quoteOf(network, request);
    const uses = [2_000_001n, 2_000_002n].map((rateMicroUsdcPerGpuHour) => ({
      rateMicroUsdcPerGpuHour,
      gpus: 8,
      seconds: 5000,
    }));
    const charges = bill(uses, TEST_SETTINGS.platformFeeBps);
    expect(parseUsdc(quote.total.amount)).toBe(charges.totalMicroUsdc);
    expect(quote.lines.map((line) => [line.kind, parseUsdc(line.amount.amount)])).toEqual([
      ["compute", charges.computeMicroUsdc],
      ["platform_fee", charges.platformFeeMicroUsdc],
    ]);
    expect(quote).toMatchObject({
      object: "quote",
      gpu: "h100-sxm-80gb",
      nodes: 2,
      gpus_per_node: 8,
      duration_seconds: 5000,
      rtt_ms_max: 1,
      plan: [
        { rank: 0, country: "DE", reliability: 0.998, price_per_gpu_hour: { amount: "2.000001" } },
        { rank: 1, country: "DE", reliability: 0.998, price_per_gpu_hour: { amount: "2.000002" } },
      ],
    });
    expect(Date.parse(quote.expires_at) - Date.parse(quote.created_at)).toBe(TEST_SETTINGS.quoteLifetimeSeconds * 1000);
    const payload = verifyQuote(quote.token, TEST_SETTINGS.quoteKeys);
    expect(payload.id).toBe(quote.id);
    expect(payload.ranks.map((rank) => rank.nodeId)).toEqual([network[0]?.id, network[1]?.id]);
    expect(OPERATIONS["quotes.create"].output.parse(quote)).toEqual(quote);
  });

  test("is of the same price as the naive placement, for any network and wish", async () => {
    await fc.assert(
      fc.asyncProperty(networkArbitrary(20), wishArbitrary, async (any, wish) => {
        const naive = naivePlace(any, wish);
        const quote = await createQuote(withMarket(any), wish).catch(() => null);
        const ids =
          quote === null ? null : verifyQuote(quote.token, TEST_SETTINGS.quoteKeys).ranks.map((rank) => rank.nodeId);
        expect(ids).toEqual(naive?.ids ?? null);
      }),
      { numRuns: 300 },
    );
  });

  test("gets an id of its own each time", async () => {
    const request = { gpu: "h100", duration_seconds: 3600 };
    const [one, two] = await Promise.all([quoteOf(network, request), quoteOf(network, request)]);
    expect(one.id).not.toBe(two.id);
  });
});

describe("a wish that can't be quoted", () => {
  const network = [machine(1), machine(2, { gpusFree: 0 })];
  const hour = { duration_seconds: 3600 };

  test.each([
    ["rtx-4900", "rtx-4090-24gb"],
    ["h100-sx", "h100-sxm-80gb"],
    ["a100", "a100-sxm-80gb"],
    ["mi300", "mi300x-192gb"],
  ])("for %s is told the nearest names, %s among them", async (gpu, nearest) => {
    const error = await refusal(network, { gpu, ...hour });
    expect(error.code).toBe("unknown_gpu");
    expect(error.extensions.nearest).toContain(nearest);
    expect(error.message).toContain(nearest);
    expect(nearestGpus(gpu)).toEqual(error.extensions.nearest);
  });

  test.each([
    [{ nodes: 0 }, "size_out_of_range"],
    [{ nodes: -1 }, "size_out_of_range"],
    [{ nodes: 1025 }, "size_out_of_range"],
    [{ gpus_per_node: 0 }, "size_out_of_range"],
    [{ gpus_per_node: 65 }, "size_out_of_range"],
    [{ duration_seconds: 59 }, "duration_out_of_range"],
    [{ duration_seconds: 30 * 86_400 + 1 }, "duration_out_of_range"],
    [{ duration_seconds: 0 }, "duration_out_of_range"],
  ])("%j is %s", async (fields, code) => {
    expect((await refusal(network, { gpu: "h100", ...hour, ...fields })).code).toBe(code);
  });

  test("because of its cap learns the price without it", async () => {
    const error = await refusal(network, { gpu: "h100", ...hour, max_price_per_gpu_hour: "1.5" });
    expect(error.code).toBe("price_above_cap");
    expect(error.extensions.constraint).toBe("max_price_per_gpu_hour");
    expect(error.extensions.alternatives[0]?.price_per_gpu_hour.amount).toBe("2.000001");
    expect(error.message).toContain("2.000001");
  });

  test("while others rent the machines is unavailable; beyond what the network has it is impossible", async () => {
    const unavailable = await refusal(network, { gpu: "h100", gpus_per_node: 8, nodes: 2, ...hour });
    expect(unavailable.code).toBe("gang_unavailable");
    expect(unavailable.extensions.constraint).toBe("nodes");
    expect(unavailable.extensions.alternatives[0]).toMatchObject({ nodes: 1, gpus_per_node: 8 });
    expect((await refusal(network, { gpu: "h100", gpus_per_node: 8, nodes: 3, ...hour })).code).toBe("gang_impossible");
    expect((await refusal(network, { gpu: "h100", gpus_per_node: 16, ...hour })).code).toBe("gang_impossible");
    expect((await refusal(network, { gpu: "b200", ...hour })).code).toBe("gang_impossible");
    expect((await refusal([], { gpu: "h100", ...hour })).code).toBe("gang_impossible");
  });

  test("names the constraint that stands in the way", async () => {
    const spread = [machine(1), machine(2, { latitude: 35.68, longitude: 139.69, country: "JP", region: "jp-tokyo" })];
    const wish = { gpu: "h100", gpus_per_node: 8, nodes: 2, ...hour };
    expect((await refusal(spread, { ...wish, max_rtt_ms: 10 })).extensions.constraint).toBe("max_rtt_ms");
    expect((await refusal(spread, { ...wish, countries: ["DE"] })).extensions.constraint).toBe("countries");
    expect((await refusal(spread, { ...wish, isolation: "vm" })).extensions.constraint).toBe("isolation");
    expect((await refusal(spread, { ...wish, interconnect: "infiniband" })).extensions.constraint).toBe("interconnect");
    expect((await refusal(spread, { ...wish, min_memory_gib: 2000 })).extensions.constraint).toBe("min_memory_gib");
  });

  test("is offered another shape, and another model with as much memory", async () => {
    const others = [
      machine(1, { gpusTotal: 4, gpusFree: 4 }),
      machine(2, { gpusTotal: 4, gpusFree: 4 }),
      machine(3, { gpu: "h200-sxm-141gb" }),
    ];
    const { alternatives } = (await refusal(others, { gpu: "h100", gpus_per_node: 8, ...hour })).extensions;
    expect(
      alternatives.map(({ constraint, gpu, nodes, gpus_per_node }) => [constraint, gpu, nodes, gpus_per_node]),
    ).toEqual([
      ["gpus_per_node", "h100-sxm-80gb", 2, 4],
      ["gpus_per_node", "h100-sxm-80gb", 4, 2],
      ["gpus_per_node", "h100-sxm-80gb", 8, 1],
      ["gpu", "h200-sxm-141gb", 1, 8],
    ]);
  });
});

/** The wish that an alternative stands for, from what it says of itself. */
function wishOf(wish: Wish, { description, gpu, nodes, gpus_per_node }: Alternative): Wish {
  const named = CONSTRAINTS.filter((name) => new RegExp(`Without .*\\b${name}\\b`).test(description));
  const dropped = description.includes("without any constraint") ? [...CONSTRAINTS] : named;
  return { ...withoutConstraints(wish, dropped), gpu, nodes, gpus_per_node };
}

describe("alternatives", () => {
  test("are true: each can be placed, at the price that it names", () => {
    let seen = 0;
    fc.assert(
      fc.property(networkArbitrary(25), wishArbitrary, (network, wish) => {
        fc.pre(naivePlace(network, wish) === null);
        const { constraint, alternatives } = explainUnmet({ index: indexOf(network), feeBps: 500 }, wish);
        for (const alternative of alternatives) {
          const placed = naivePlace(network, wishOf(wish, alternative));
          const rates =
            placed?.ids.map((id) => network.find((node) => node.id === id)?.priceMicroUsdcPerGpuHour ?? -1) ?? [];
          const uses = rates.map((rate) => ({
            rateMicroUsdcPerGpuHour: BigInt(rate),
            gpus: alternative.gpus_per_node,
            seconds: wish.duration_seconds,
          }));
          expect(placed).not.toBeNull();
          expect(parseUsdc(alternative.total.amount)).toBe(bill(uses, 500).totalMicroUsdc);
          seen++;
        }
        expect(constraint).toBe(alternatives[0]?.constraint ?? "gpu");
        expect(alternatives.length).toBeLessThanOrEqual(5);
      }),
      { numRuns: 400 },
    );
    expect(seen).toBeGreaterThan(200);
  });

  test("begin with the single constraint without which the wish could be met, if there is one", () => {
    fc.assert(
      fc.property(networkArbitrary(25), wishArbitrary, (network, wish) => {
        fc.pre(naivePlace(network, wish) === null);
        const enough = CONSTRAINTS.filter(
          (name) => wish[name] !== undefined && naivePlace(network, withoutConstraints(wish, [name])) !== null,
        );
        const { constraint } = explainUnmet({ index: indexOf(network), feeBps: 500 }, wish);
        if (enough.length > 0) expect(constraint).toBe(enough[0]);
        else expect(CONSTRAINTS.some((name) => name === constraint && wish[name] === undefined)).toBe(false);
      }),
      { numRuns: 400 },
    );
  });
});

describe("quotes.get", () => {
  const check = (ctx: Context, token: string) => getQuote(ctx, { token });

  test("shows the quote that was made, and that it holds", async () => {
    const ctx = withMarket([machine(1)]);
    const quote = await createQuote(ctx, parse({ gpu: "h100", gpus_per_node: 4, nodes: 2, duration_seconds: 600 }));
    expect(await check(ctx, quote.token)).toEqual({ object: "quote_check", quote, holds: true, reason: "holds" });
  });

  test("says that the capacity is gone once the machine has too little left for all its ranks", async () => {
    const ctx = withMarket([machine(1)]);
    const quote = await createQuote(ctx, parse({ gpu: "h100", gpus_per_node: 4, nodes: 2, duration_seconds: 600 }));
    ctx.market.take(machine(1).id, 1);
    expect(await check(ctx, quote.token)).toMatchObject({ holds: false, reason: "capacity_gone" });
    expect(await check(withMarket([]), quote.token)).toMatchObject({ holds: false, reason: "capacity_gone" });
  });

  test("says that the quote has expired, from the very moment", async () => {
    const ctx = withMarket([machine(1)]);
    const quote = await createQuote(ctx, parse({ gpu: "h100", duration_seconds: 600 }));
    world.clock.pass(TEST_SETTINGS.quoteLifetimeSeconds * 1000 - 1);
    expect(await check(ctx, quote.token)).toMatchObject({ reason: "holds" });
    world.clock.pass(1);
    expect(await check(ctx, quote.token)).toMatchObject({ holds: false, reason: "expired", quote: { id: quote.id } });
  });

  test("says that the quote was used", async () => {
    const token = world.quote({ nodeIds: [await world.node()] });
    await world.reserve(token);
    expect(await check(withMarket([]), token)).toMatchObject({ holds: false, reason: "used" });
  });

  test("refuses what Volley has not signed", async () => {
    await expect(check(withMarket([]), "made.up")).rejects.toMatchObject({ code: "quote_invalid" });
  });
});
