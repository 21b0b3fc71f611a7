import { address } from "@solana/kit";
import {
  array,
  assert,
  bigInt,
  constantFrom,
  integer,
  option,
  property,
  record,
  string,
  stringMatching,
} from "fast-check";
import { describe, expect, test } from "vitest";
import { formatUsdc, parseUsdc } from "../../schema/money.ts";
import { parseTransferRequest, SolanaPaymentError, toBaseUnits } from "../../sdk/solana.ts";

const WALLET = address("mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN");
const MINT = address("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
const KEYS = [WALLET, MINT, address("82ZJ7nbGpixjeDCmEhUcmwXYfvurzAgGdtSMuHnUgyny")];

describe("a transfer request", () => {
  test("of the specification's form is read whole", () => {
    const url = `solana:${WALLET}?amount=0.01&spl-token=${MINT}&reference=${KEYS[2]}&label=Michael&message=Thanks%20for%20all%20the%20fish&memo=Order%231`;
    expect(parseTransferRequest(url)).toEqual({
      recipient: WALLET,
      amount: "0.01",
      splToken: MINT,
      references: [KEYS[2]],
      label: "Michael",
      message: "Thanks for all the fish",
      memo: "Order#1",
    });
  });

  test("keeps whatever it is given, references in their order", () => {
    const text = option(string({ unit: "grapheme", maxLength: 20 }), { nil: null });
    const request = record({
      recipient: constantFrom(...KEYS),
      splToken: constantFrom(...KEYS),
      amount: stringMatching(/^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$/),
      references: array(constantFrom(...KEYS), { maxLength: 5 }),
      label: text,
      message: text,
      memo: text,
    });
    assert(
      property(request, (given) => {
        const query = [
          `amount=${given.amount}`,
          `spl-token=${given.splToken}`,
          ...given.references.map((key) => `reference=${key}`),
          ...(["label", "message", "memo"] as const).flatMap((name) =>
            given[name] === null ? [] : [`${name}=${encodeURIComponent(given[name])}`],
          ),
        ];
        expect(parseTransferRequest(`solana:${given.recipient}?${query.join("&")}`)).toEqual(given);
      }),
    );
  });

  const rest = `spl-token=${MINT}`;
  test.each([
    ["bitcoin:x", "solana:"],
    [`solana:?amount=1&${rest}`, "recipient"],
    [`solana:${WALLET}x?amount=1&${rest}`, "recipient"],
    [`solana:${WALLET}?amount=-1&${rest}`, "amount"],
    [`solana:${WALLET}?amount=1e3&${rest}`, "amount"],
    [`solana:${WALLET}?amount=.5&${rest}`, "amount"],
    [`solana:${WALLET}?amount=1.&${rest}`, "amount"],
    [`solana:${WALLET}?amount=01&${rest}`, "amount"],
    [`solana:${WALLET}?amount=NaN&${rest}`, "amount"],
    [`solana:${WALLET}?amount=1,5&${rest}`, "amount"],
    [`solana:${WALLET}?amount=&${rest}`, "amount"],
    [`solana:${WALLET}?amount=1&amount=2&${rest}`, "amount"],
    [`solana:${WALLET}?amount=1&spl-token=nope`, "spl-token"],
    [`solana:${WALLET}?amount=1&${rest}&reference=nope`, "reference"],
    [`solana:${WALLET}?amount=1&${rest}&memo=a&memo=b`, "memo"],
    [`solana:${WALLET}?amount=1&${rest}&label=${"x".repeat(9000)}`, "longer"],
    [`solana:${WALLET}?amount=1&${rest}${`&reference=${WALLET}`.repeat(17)}`, "references"],
  ])("that breaks the rules is refused: %s", (url, why) => {
    expect(() => parseTransferRequest(url)).toThrow(why);
    expect(() => parseTransferRequest(url)).toThrow(expect.objectContaining({ code: "request_malformed" }));
  });

  test.each([
    `solana:${WALLET}?${rest}`,
    `solana:${WALLET}?amount=1`,
    "solana:https://volley.test/pay",
    "solana:https%3A%2F%2Fvolley.test%2Fpay%3Fa%3Db",
  ])("of a kind that can't be paid here is refused: %s", (url) => {
    expect(() => parseTransferRequest(url)).toThrow(expect.objectContaining({ code: "request_unsupported" }));
  });

  test("that is junk is refused with this error and no other", () => {
    assert(
      property(string({ unit: "binary", maxLength: 60 }), integer({ min: 0, max: 3 }), (junk, kind) => {
        const url =
          [junk, `solana:${junk}`, `solana:${WALLET}?${junk}`, `solana:${WALLET}?amount=${junk}&${rest}`][kind] ?? "";
        try {
          parseTransferRequest(url);
        } catch (error) {
          expect(error).toBeInstanceOf(SolanaPaymentError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("base units", () => {
  test("are exact for every amount of USDC", () => {
    assert(
      property(bigInt({ min: 0n, max: 10n ** 18n }), (micro) => {
        expect(toBaseUnits(formatUsdc(micro), 6)).toBe(micro);
        expect(parseUsdc(formatUsdc(micro))).toBe(micro);
      }),
    );
  });

  test.each([
    ["1", 0, 1n],
    ["0.000001", 6, 1n],
    ["12.5", 9, 12_500_000_000n],
    ["18446744073709551615", 0, 2n ** 64n - 1n],
  ])("%s with %i places", (amount, decimals, units) => {
    expect(toBaseUnits(amount, decimals)).toBe(units);
  });

  test.each([
    ["0.0000001", 6],
    ["1.0", 0],
    ["18446744073709551616", 0],
    ["1e3", 6],
    ["-1", 6],
    ["", 6],
  ])("%j with %i places is refused", (amount, decimals) => {
    expect(() => toBaseUnits(amount, decimals)).toThrow(SolanaPaymentError);
  });
});
