import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bill, computeCharge, meanRateMicroUsdc, type RankUse } from "../../api/market/price.ts";

const rate = fc.bigInt({ min: 0n, max: 100_000_000n });
const gpus = fc.integer({ min: 1, max: 64 });
const seconds = fc.integer({ min: 0, max: 30 * 24 * 3600 });
const feeBps = fc.integer({ min: 0, max: 10_000 });
const rank = fc.record({ rateMicroUsdcPerGpuHour: rate, gpus, seconds });
const ranks = fc.array(rank, { minLength: 1, maxLength: 20 });

describe("a charge", () => {
  test.each([
    [2_500_000n, 8, 3600, 20_000_000n],
    [2_500_000n, 8, 1, 5555n],
    [1n, 1, 3599, 0n],
    [1n, 1, 3600, 1n],
    [0n, 64, 3600, 0n],
    [2_500_000n, 8, 0, 0n],
  ])("%d micro-USDC an hour, %d GPUs, %d seconds: %d", (rateMicroUsdcPerGpuHour, count, time, amount) => {
    expect(computeCharge({ rateMicroUsdcPerGpuHour, gpus: count, seconds: time })).toBe(amount);
  });

  test("never falls with time, and is within one micro-USDC below the exact amount", () => {
    fc.assert(
      fc.property(rank, fc.nat(10_000), (use, more) => {
        const charge = computeCharge(use);
        expect(computeCharge({ ...use, seconds: use.seconds + more })).toBeGreaterThanOrEqual(charge);
        const exact = use.rateMicroUsdcPerGpuHour * BigInt(use.gpus) * BigInt(use.seconds);
        expect(charge * 3600n).toBeLessThanOrEqual(exact);
        expect((charge + 1n) * 3600n).toBeGreaterThan(exact);
      }),
    );
  });

  test("in parts is never above the whole, and at most one micro-USDC per extension below", () => {
    fc.assert(
      fc.property(
        rate,
        gpus,
        fc.array(seconds, { minLength: 1, maxLength: 6 }),
        (rateMicroUsdcPerGpuHour, count, parts) => {
          const charge = (time: number) => computeCharge({ rateMicroUsdcPerGpuHour, gpus: count, seconds: time });
          const sum = parts.reduce((total, part) => total + charge(part), 0n);
          const whole = charge(parts.reduce((total, part) => total + part, 0));
          expect(sum).toBeLessThanOrEqual(whole);
          expect(whole - sum).toBeLessThan(BigInt(parts.length));
        },
      ),
    );
  });

  test("of part of a second, part of a GPU, or less than nothing is refused", () => {
    const use: RankUse = { rateMicroUsdcPerGpuHour: 1n, gpus: 1, seconds: 1 };
    for (const bad of [{ seconds: 0.5 }, { gpus: 1.5 }, { seconds: Number.NaN }, { seconds: -1 }, { gpus: -1 }]) {
      expect(() => computeCharge({ ...use, ...bad })).toThrow(RangeError);
    }
    expect(() => computeCharge({ ...use, rateMicroUsdcPerGpuHour: -1n })).toThrow(RangeError);
  });
});

describe("a bill", () => {
  test("sums ranks and adds the fee on compute, rounded down", () => {
    const use: RankUse = { rateMicroUsdcPerGpuHour: 1_999_999n, gpus: 8, seconds: 37 };
    const compute = computeCharge(use) * 2n;
    expect(bill([use, use], 500)).toEqual({
      computeMicroUsdc: compute,
      platformFeeMicroUsdc: (compute * 500n) / 10_000n,
      totalMicroUsdc: compute + (compute * 500n) / 10_000n,
    });
    expect(bill([], 500).totalMicroUsdc).toBe(0n);
  });

  test("for less time, rank by rank, is never above the quoted total; for the full time it is that total", () => {
    fc.assert(
      fc.property(
        ranks,
        feeBps,
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (quoted, fee, shares) => {
          const used = quoted.map((use) => ({ ...use, seconds: Math.floor(use.seconds * (shares.next().value ?? 0)) }));
          expect(bill(used, fee).totalMicroUsdc).toBeLessThanOrEqual(bill(quoted, fee).totalMicroUsdc);
          const { computeMicroUsdc, platformFeeMicroUsdc, totalMicroUsdc } = bill(quoted, fee);
          expect(totalMicroUsdc).toBe(computeMicroUsdc + platformFeeMicroUsdc);
          expect(platformFeeMicroUsdc).toBeLessThanOrEqual(computeMicroUsdc);
        },
      ),
    );
  });

  test("the mean rate lies between the ranks' rates", () => {
    fc.assert(
      fc.property(fc.array(rate, { minLength: 1 }), (rates) => {
        const mean = meanRateMicroUsdc(rates);
        expect(rates.some((value) => value <= mean)).toBe(true);
        expect(rates.some((value) => value >= mean)).toBe(true);
      }),
    );
    expect(meanRateMicroUsdc([])).toBe(0n);
  });
});
