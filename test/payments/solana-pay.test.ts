import { getBase58Encoder } from "@solana/kit";
import fc from "fast-check";
import { expect, test } from "vitest";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { commitmentFor } from "../../api/payments/inbound/commitment-for.ts";
import { newReference, solanaPayUrl } from "../../api/payments/solana-pay/transfer-request.ts";

const random = strongRandom();
const request = {
  recipient: newReference(random),
  mint: newReference(random),
  reference: newReference(random),
  message: "pay_1",
};
const read = (amountMicroUsdc: bigint) => new URL(solanaPayUrl({ ...request, amountMicroUsdc }));

test("the URL names wallet, mint, reference, amount and what it is for", () => {
  const url = read(12_500_000n);
  expect(url.protocol).toBe("solana:");
  expect(url.pathname).toBe(request.recipient);
  expect(Object.fromEntries(url.searchParams)).toEqual({
    amount: "12.5",
    "spl-token": request.mint,
    reference: request.reference,
    label: "Volley",
    message: "pay_1",
  });
});

test.each([
  [1n, "0.000001"],
  [10n, "0.00001"],
  [1_000_000n, "1"],
  [100_000_000n, "100"],
  [9_007_199_254_740_993n, "9007199254.740993"],
  [2n ** 64n - 1n, "18446744073709.551615"],
])("%s micro-USDC are %s USDC", (micro, decimal) => {
  expect(read(micro).searchParams.get("amount")).toBe(decimal);
});

test("every amount of 64 bits comes back exactly, in the form that the specification asks for", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), (micro) => {
      const text = read(micro).searchParams.get("amount") ?? "";
      expect(text).toMatch(/^(0|[1-9][0-9]*)(\.[0-9]{0,5}[1-9])?$/);
      const [whole = "", fraction = ""] = text.split(".");
      expect(BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, "0"))).toBe(micro);
    }),
  );
});

test("references are 32 bytes, and never the same twice", () => {
  const references = new Set(Array.from({ length: 100 }, () => newReference(random)));
  expect(references.size).toBe(100);
  for (const reference of references) expect(getBase58Encoder().encode(reference)).toHaveLength(32);
});

test("the amount decides how final a payment must be", () => {
  const settings = { confirmedLimitMicroUsdc: 100n };
  expect(commitmentFor(100n, settings)).toBe("confirmed");
  expect(commitmentFor(101n, settings)).toBe("finalized");
});
