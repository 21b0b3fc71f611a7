import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitRegions, type QuotedRank, type QuotePayload } from "../../api/market/quote-payload.ts";
import { signQuote, verifyQuote } from "../../api/market/quote-token.ts";
import { INTERCONNECTS, ISOLATIONS, makeId, QUOTE_TOKEN_LENGTH_MAX, SUPPLIER_CLASSES } from "../../schema/index.ts";
import { wishArbitrary } from "./arbitrary-network.ts";

const KEYS = ["k".repeat(43), "older".repeat(9)];

const idArbitrary = fc.uint8Array({ minLength: 10, maxLength: 10 });
const rankArbitrary: fc.Arbitrary<QuotedRank> = fc.record({
  nodeId: idArbitrary.map((bytes) => makeId("node", 1_700_000_000_000, bytes)),
  rateMicroUsdcPerGpuHour: fc.bigInt({ min: 0n, max: BigInt(Number.MAX_SAFE_INTEGER) }),
  country: fc.constantFrom("DE", "US", "JP"),
  region: fc.oneof(fc.constantFrom("de-frankfurt", "us-ashburn"), fc.string({ unit: "grapheme", maxLength: 20 })),
  interconnect: fc.constantFrom(...INTERCONNECTS),
  reliabilityPpm: fc.integer({ min: 0, max: 1_000_000 }),
  isolation: fc.constantFrom(...ISOLATIONS),
  supplierClass: fc.constantFrom(...SUPPLIER_CLASSES),
});
const payloadArbitrary: fc.Arbitrary<QuotePayload> = fc.record({
  id: idArbitrary.map((bytes) => makeId("quote", 1_700_000_000_000, bytes)),
  createdAtMs: fc.constant(1_700_000_000_000),
  expiresAtMs: fc.integer({ min: 0, max: 2_000_000_000_000 }),
  feeBps: fc.integer({ min: 0, max: 10_000 }),
  wish: wishArbitrary.map((wish) => JSON.parse(JSON.stringify(wish))),
  ranks: fc
    .array(fc.tuple(rankArbitrary, fc.integer({ min: 1, max: 3 })), { minLength: 1, maxLength: 12 })
    .map((machines) => machines.flatMap(([rank, count]) => Array<QuotedRank>(count).fill(rank))),
  rttMsMax: fc.double({ min: 0, max: 400, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
});

const isInvalid = (token: string) => {
  try {
    verifyQuote(token, KEYS);
    return "verified";
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
};

describe("a quote token", () => {
  test("says again what was signed", () => {
    fc.assert(
      fc.property(payloadArbitrary, (payload) => {
        expect(verifyQuote(signQuote(payload, KEYS), KEYS)).toEqual(payload);
      }),
    );
  });

  test("with any one character changed is refused", () => {
    const [payload] = fc.sample(payloadArbitrary, { numRuns: 1, seed: 7 }) as [QuotePayload];
    const token = signQuote(payload, KEYS);
    for (let at = 0; at < token.length; at++) {
      for (let bit = 0; bit < 7; bit++) {
        const changed = String.fromCharCode(token.charCodeAt(at) ^ (1 << bit));
        expect([at, bit, isInvalid(token.slice(0, at) + changed + token.slice(at + 1))]).toEqual([
          at,
          bit,
          "quote_invalid",
        ]);
      }
      expect(isInvalid(token.slice(0, at))).toBe("quote_invalid");
    }
    for (const added of [`${token}A`, `${token}=`, `${token} `, `A${token}`, `${token}.${token}`]) {
      expect(isInvalid(added)).toBe("quote_invalid");
    }
  });

  test("that is garbage is refused, never anything else", () => {
    const signatureLike = fc.string({ minLength: 43, maxLength: 43 });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.tuple(fc.base64String(), signatureLike).map((parts) => parts.join(".")),
        ),
        (text) => {
          expect(isInvalid(text)).toBe("quote_invalid");
        },
      ),
      { numRuns: 2000 },
    );
    expect(isInvalid(`${"A".repeat(QUOTE_TOKEN_LENGTH_MAX)}.A`)).toBe("quote_invalid");
  });

  test("signed with a key that is not ours is refused; with an older key of ours it is not", () => {
    const [payload] = fc.sample(payloadArbitrary, { numRuns: 1, seed: 8 }) as [QuotePayload];
    expect(isInvalid(signQuote(payload, ["x".repeat(43)]))).toBe("quote_invalid");
    expect(verifyQuote(signQuote(payload, ["older".repeat(9)]), KEYS)).toEqual(payload);
    expect(() => signQuote(payload, [])).toThrow();
  });

  test("is read after its expiry too: judging that is for the verb", () => {
    const [payload] = fc.sample(payloadArbitrary, { numRuns: 1, seed: 9 }) as [QuotePayload];
    expect(verifyQuote(signQuote({ ...payload, expiresAtMs: 1 }, KEYS), KEYS).expiresAtMs).toBe(1);
  });

  test("for 1,024 ranks on machines of their own in regions of their own fits", () => {
    const [sample] = fc.sample(payloadArbitrary, { numRuns: 1, seed: 10 }) as [QuotePayload];
    const [rank] = fc.sample(rankArbitrary, { numRuns: 1, seed: 11 }) as [QuotedRank];
    const ranks = Array.from({ length: 1024 }, (_, number): QuotedRank => {
      const random = new Uint8Array(10).fill(number % 251);
      new DataView(random.buffer).setUint32(6, number);
      const region = `${number}-${"界".repeat(58)}`;
      return { ...rank, nodeId: makeId("node", 1_700_000_000_000, random), rateMicroUsdcPerGpuHour: 2n ** 34n, region };
    });
    const countries = Array.from({ length: 250 }, (_, number) => `A${String.fromCharCode(65 + (number % 26))}`);
    const payload = { ...sample, wish: { ...sample.wish, countries, nodes: 1024 }, ranks: fitRegions(ranks) };
    const token = signQuote(payload, KEYS);
    expect(token.length).toBeLessThanOrEqual(QUOTE_TOKEN_LENGTH_MAX);
    expect(verifyQuote(token, KEYS)).toEqual(payload);
  });

  test("that would be too long is not issued", () => {
    const [sample] = fc.sample(payloadArbitrary, { numRuns: 1, seed: 12 }) as [QuotePayload];
    const regions = Array.from({ length: 1000 }, (_, number) => `${number}-${"界".repeat(60)}`);
    expect(() => signQuote({ ...sample, wish: { ...sample.wish, regions } }, KEYS)).toThrow("too long");
  });

  test("keeps regions as they are where there is room", () => {
    const ranks = fc.sample(rankArbitrary, { numRuns: 50, seed: 13 });
    expect(fitRegions(ranks)).toEqual(ranks);
  });
});
