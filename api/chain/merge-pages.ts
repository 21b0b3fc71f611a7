import type { SignatureInfo } from "../ports/chain.ts";

/** What any of the nodes lists, newest first. */
export function mergePages(pages: readonly (readonly SignatureInfo[])[]): readonly SignatureInfo[] {
  const merged = new Map<string, SignatureInfo>();
  for (const entry of pages.flat()) {
    const known = merged.get(entry.signature);
    merged.set(entry.signature, known === undefined ? entry : mergeEntries(known, entry));
  }
  return [...merged.values()].sort((one, two) => (one.slot === two.slot ? 0 : one.slot < two.slot ? 1 : -1));
}

/** Where nodes contradict each other the transaction is to be read, and not to be left behind. */
const mergeEntries = (one: SignatureInfo, two: SignatureInfo): SignatureInfo => ({
  signature: one.signature,
  slot: larger(one.slot, two.slot),
  failed: one.failed && two.failed,
  blockTimeSeconds: one.blockTimeSeconds ?? two.blockTimeSeconds,
});

const larger = (one: bigint, two: bigint) => (one >= two ? one : two);
