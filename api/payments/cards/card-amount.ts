/** Cards are charged in US dollars, of which one counts as one USDC; their smallest unit is the cent. */
export const CARD_CURRENCY = "usd";
const MICRO_USDC_PER_MINOR = 10_000n;

export function isWholeMinor(microUsdc: bigint): boolean {
  return microUsdc % MICRO_USDC_PER_MINOR === 0n;
}

export function toMinor(microUsdc: bigint): bigint {
  if (!isWholeMinor(microUsdc)) throw new RangeError(`${microUsdc} micro-USDC are no whole cents`);
  return microUsdc / MICRO_USDC_PER_MINOR;
}

export function fromMinor(minor: bigint): bigint {
  return minor * MICRO_USDC_PER_MINOR;
}
