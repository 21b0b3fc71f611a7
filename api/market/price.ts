/**
 * The arithmetic of every price: quotes, extensions and final bills all come from here, so a
 * rental that runs its full time is billed exactly what was quoted.
 */

const SECONDS_PER_HOUR = 3600n;
const BPS_PER_WHOLE = 10_000n;

export interface RankUse {
  readonly rateMicroUsdcPerGpuHour: bigint;
  readonly gpus: number;
  readonly seconds: number;
}

export interface Charges {
  readonly computeMicroUsdc: bigint;
  readonly platformFeeMicroUsdc: bigint;
  readonly totalMicroUsdc: bigint;
}

/**
 * What one rank costs. Rounded down to a whole micro-USDC, in the renter's favour, once per rank, so that
 * the sum over parts of a rental is never above the whole.
 * @throws {RangeError} when GPUs or seconds are not whole, or anything is negative
 */
export function computeCharge({ rateMicroUsdcPerGpuHour, gpus, seconds }: RankUse): bigint {
  if (rateMicroUsdcPerGpuHour < 0n || gpus < 0 || seconds < 0) throw new RangeError("a charge has no negative part");
  // BigInt() refuses fractions by itself.
  return (rateMicroUsdcPerGpuHour * BigInt(gpus) * BigInt(seconds)) / SECONDS_PER_HOUR;
}

/**
 * The bill over all ranks. The fee is rounded down as well.
 * @param feeBps platform fee on compute, in hundredths of a percent
 */
export function bill(ranks: readonly RankUse[], feeBps: number): Charges {
  let computeMicroUsdc = 0n;
  for (const rank of ranks) computeMicroUsdc += computeCharge(rank);
  const platformFeeMicroUsdc = (computeMicroUsdc * BigInt(feeBps)) / BPS_PER_WHOLE;
  return { computeMicroUsdc, platformFeeMicroUsdc, totalMicroUsdc: computeMicroUsdc + platformFeeMicroUsdc };
}

/** Mean price of one GPU hour over the ranks, fee excluded, rounded down. */
export function meanRateMicroUsdc(ratesMicroUsdcPerGpuHour: readonly bigint[]): bigint {
  if (ratesMicroUsdcPerGpuHour.length === 0) return 0n;
  return ratesMicroUsdcPerGpuHour.reduce((sum, rate) => sum + rate, 0n) / BigInt(ratesMicroUsdcPerGpuHour.length);
}
