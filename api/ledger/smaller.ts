/** `Math.min` of amounts, which are bigints. */
export function smaller(one: bigint, two: bigint): bigint {
  if (one < two) return one;
  return two;
}
