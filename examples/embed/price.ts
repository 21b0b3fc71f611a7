/** What this shop's customers pay: Volley's price and a fifth on top, in whole micro-USDC. */
const MARK_UP_PERCENT = 20n;
const DECIMALS = 6;

export function withMarkUp(amount: string): string {
  const [whole = "0", fraction = ""] = amount.split(".");
  const micro = BigInt(whole + fraction.padEnd(DECIMALS, "0"));
  // Rounded up: a shop must not lose on what it resells.
  const price = (micro * (100n + MARK_UP_PERCENT) + 99n) / 100n;
  const digits = price.toString().padStart(DECIMALS + 1, "0");
  return `${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`;
}
