/** Cryptographically strong bytes, from the runtime. */
import type { Random } from "../ports/random.ts";

/** Small requests are cut from one block: a call into the runtime costs more than the bytes. */
const BLOCK_BYTES = 4096;

export function strongRandom(): Random {
  let block = new Uint8Array(0);
  let used = 0;
  return {
    bytes(length) {
      if (length > BLOCK_BYTES / 4) return crypto.getRandomValues(new Uint8Array(length));
      if (used + length > block.length) {
        // A fresh block each time: bytes that were handed out are never written again.
        block = crypto.getRandomValues(new Uint8Array(BLOCK_BYTES));
        used = 0;
      }
      used += length;
      return block.slice(used - length, used);
    },
  };
}
