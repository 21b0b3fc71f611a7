/** The worst round trip within a gang. */
import { NONE } from "../index/columns.ts";
import type { NetworkIndex } from "../index/network-index.ts";
import { chordSquared, type Point, RTT_FABRIC_MS, RTT_HOST_MS, rttMsOfChord } from "../round-trip.ts";
import type { Gang } from "./candidates.ts";

/** Estimated, in milliseconds, between the two ranks that are farthest apart; 0 on a single machine. */
export function rttMsMax(index: NetworkIndex, gang: Gang): number {
  const { site, fabric } = index.columns;
  if (gang.rows.length === 1) return RTT_HOST_MS;
  // One machine stands for all of its site and fabric: the pairs of the others are no farther apart.
  const kinds = new Map<string, { readonly row: number; machines: number }>();
  for (const row of gang.rows) {
    const key = `${site[row]}:${fabric[row]}`;
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { row, machines: 1 });
    else kind.machines++;
  }
  const representatives = [...kinds.values()];
  let worst = 0;
  for (const [at, a] of representatives.entries()) {
    if (a.machines > 1) worst = Math.max(worst, fabric[a.row] === NONE ? rttMsOfChord(0) : RTT_FABRIC_MS);
    for (let other = 0; other < at; other++) {
      const b = representatives[other] as typeof a;
      const joined = fabric[a.row] !== NONE && fabric[a.row] === fabric[b.row];
      const chord = () =>
        chordSquared(
          index.sitePoints[site[a.row] as number] as Point,
          index.sitePoints[site[b.row] as number] as Point,
        );
      worst = Math.max(worst, joined ? RTT_FABRIC_MS : rttMsOfChord(chord()));
    }
  }
  return worst;
}
