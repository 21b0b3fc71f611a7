/**
 * Money is USDC, counted in whole micro-USDC (10^-6) as bigint: the mint has six decimals,
 * so every amount on chain is exact. On the wire it is a decimal string with six places.
 */
import { z } from "zod";

export const USDC_DECIMALS = 6;
const MICRO_PER_USDC = 1_000_000n;
/** The largest amount on the wire: 10^12 USDC, far above any sum on one chain, far below a 64-bit overflow. */
export const MICRO_USDC_MAX = 1_000_000_000_000n * MICRO_PER_USDC;

const DECIMAL_PATTERN = /^(0|[1-9][0-9]{0,12})(?:\.([0-9]{1,6}))?$/;

/**
 * Reads a decimal amount of USDC exactly: no sign, no exponent, at most six places.
 * @throws {RangeError} when the text is not such an amount
 */
export function parseUsdc(text: string): bigint {
  const match = DECIMAL_PATTERN.exec(text);
  if (!match) {
    throw new RangeError(
      'an amount is a decimal string such as "12.5" with at most six places and no sign or exponent',
    );
  }
  const micro = BigInt(match[1] ?? "0") * MICRO_PER_USDC + BigInt((match[2] ?? "").padEnd(USDC_DECIMALS, "0"));
  if (micro > MICRO_USDC_MAX) throw new RangeError(`an amount is at most ${formatUsdc(MICRO_USDC_MAX)} USDC`);
  return micro;
}

/** Prints micro-USDC with all six places, so that equal amounts are equal strings. */
export function formatUsdc(microUsdc: bigint): string {
  const sign = microUsdc < 0n ? "-" : "";
  const positive = microUsdc < 0n ? -microUsdc : microUsdc;
  const fraction = (positive % MICRO_PER_USDC).toString().padStart(USDC_DECIMALS, "0");
  return `${sign}${positive / MICRO_PER_USDC}.${fraction}`;
}

/** An amount in an answer. */
export const moneySchema = z
  .object({
    amount: z.string().describe("Decimal string with six places."),
    currency: z.literal("USDC"),
  })
  .meta({ id: "Money" });

export type Money = z.infer<typeof moneySchema>;

export function toMoney(microUsdc: bigint): Money {
  return { amount: formatUsdc(microUsdc), currency: "USDC" };
}

/** An amount in a request: a decimal string, read exactly. The parsed value stays a string. */
export const usdcInputSchema = z.string().check((context) => {
  try {
    parseUsdc(context.value);
  } catch (error) {
    context.issues.push({ code: "custom", input: context.value, message: error instanceof Error ? error.message : "" });
  }
});
