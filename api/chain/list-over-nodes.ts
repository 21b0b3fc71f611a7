import type { Chain, SignatureInfo } from "../ports/chain.ts";
import { mergePages } from "./merge-pages.ts";

/** Asks some nodes at once, by their numbers; those that fail are left out. Throws when all fail. */
type AskSome = <Answer>(
  ask: (node: Chain, index: number) => Promise<Answer>,
  only?: ReadonlySet<number>,
) => Promise<readonly Answer[]>;

const PLACES_MAX = 256;
const PAGE = 1_000;

/**
 * Pages over the lists of several nodes, each of which is paged by its own entries: nodes differ in what they list
 * and in which order, so the end of one's page may be unknown to another. The merged page is at least as long as was
 * asked for as long as any node has more.
 */
export function listOverNodes(askSome: AskSome): Chain["signaturesForAddress"] {
  /** After the last entry of a merged page: the end of each node's own page, for nodes that have more. */
  const places = new Map<string, ReadonlyMap<number, string>>();

  return async (address, page) => {
    const limit = page.limit ?? PAGE;
    const place = page.before === undefined ? undefined : places.get(`${address} ${page.before}`);
    const ask = async (node: Chain, index: number) => {
      const before = place?.get(index) ?? page.before;
      const entries = await node.signaturesForAddress(address, before === undefined ? page : { ...page, before });
      return { index, entries };
    };
    const answers = await askSome(ask, place === undefined ? undefined : new Set(place.keys()));
    const merged = mergePages(answers.map(({ entries }) => entries));
    const ends = new Map(answers.flatMap(({ index, entries }) => endOf(index, entries, limit)));
    const last = merged.at(-1);
    if (ends.size > 0 && last !== undefined) remember(places, `${address} ${last.signature}`, ends);
    return merged;
  };
}

const endOf = (index: number, entries: readonly SignatureInfo[], limit: number): [number, string][] => {
  const last = entries.at(-1);
  return last === undefined || entries.length < limit ? [] : [[index, last.signature]];
};

function remember<Value>(kept: Map<string, Value>, key: string, value: Value): void {
  kept.delete(key);
  kept.set(key, value);
  for (const old of kept.keys()) {
    if (kept.size <= PLACES_MAX) break;
    kept.delete(old);
  }
}
