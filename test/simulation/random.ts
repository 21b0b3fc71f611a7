/** Randomness from a seed: named streams, so that a draw in one place never shifts the draws of another. */
import { type Cipheriv, createCipheriv, createHash } from "node:crypto";
import type { Random } from "../../api/ports/random.ts";

const BLOCK_BYTES = 4096;

export class SeededRandom implements Random {
  readonly #seed: string;
  readonly #cipher: Cipheriv;
  #block = Buffer.alloc(0);
  #used = 0;

  constructor(seed: string) {
    this.#seed = seed;
    const key = createHash("sha256").update(seed).digest();
    this.#cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  }

  /** Another stream, which depends on this one's seed and the name alone. */
  stream(name: string): SeededRandom {
    return new SeededRandom(`${this.#seed}/${name}`);
  }

  bytes(length: number): Uint8Array {
    if (this.#used + length > this.#block.length) {
      this.#block = this.#cipher.update(Buffer.alloc(Math.max(BLOCK_BYTES, length)));
      this.#used = 0;
    }
    this.#used += length;
    return Uint8Array.from(this.#block.subarray(this.#used - length, this.#used));
  }

  /** From 0 up to 1. */
  fraction(): number {
    return Buffer.from(this.bytes(4)).readUInt32LE() / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.whole(0, items.length - 1)];
    if (item === undefined) throw new RangeError("there is nothing to pick from");
    return item;
  }

  /** One of the names, as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let rest = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      rest -= weight;
      if (rest < 0) return name;
    }
    throw new RangeError("there is nothing to pick from");
  }
}
