/** Numbers that look random and are the same for the same seed: xorshift128 (Marsaglia, Journal of Statistical Software 8, 2003). */
export class RandomNumbers {
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    this.#state.set([seed, 362436069, 521288629, 88675123]);
    // The first numbers of similar seeds are similar.
    for (let round = 0; round < 32; round++) this.next();
  }

  /** From 0 up to, but not including, 1. */
  next(): number {
    const state = this.#state;
    const [x = 0, y = 0, z = 0, w = 0] = state;
    const mixed = x ^ (x << 11);
    state[0] = y;
    state[1] = z;
    state[2] = w;
    state[3] = w ^ (w >>> 19) ^ mixed ^ (mixed >>> 8);
    return (state[3] as number) / 2 ** 32;
  }

  /** A whole number from `min` to `max`, both included. */
  whole(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** Around 0, seldom beyond 1 either way: the sum of three even draws. */
  bell(): number {
    return (this.next() + this.next() + this.next()) * (2 / 3) - 1;
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[Math.floor(this.next() * values.length)] as Value;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.whole(0, 255));
  }
}

/** Draws values as often as their weights say. */
export function weightedPick<Value extends { readonly weight: number }>(
  values: readonly Value[],
): (random: RandomNumbers) => Value {
  const total = values.reduce((sum, value) => sum + value.weight, 0);
  return (random) => {
    let left = random.next() * total;
    for (const value of values) {
      left -= value.weight;
      if (left < 0) return value;
    }
    return values.at(-1) as Value;
  };
}
