/** The worst round trip within a gang. */
import { NONE } from "../index/columns.ts";
import type { NetworkIndex } from "../index/network-index.ts";
import { chordSquared, type Point, RTT_FABRIC_MS, RTT_HOST_MS, rttMsOfChord } from "../round-trip.ts";
import type { Gang } from "./candidates.ts";

/** Machines of one site and fabric. */
interface Kind {
  readonly point: Point;
  readonly fabric: number;
  machines: number;
}

/** Joins two codes to one key: there are far fewer than 2^21 sites. */
const FABRICS_MAX = 2 ** 32;

/** Estimated, in milliseconds, between the two ranks that are farthest apart; 0 on a single machine. */
export function rttMsMax(index: NetworkIndex, gang: Gang): number {
  if (gang.rows.length === 1) return RTT_HOST_MS;
  let isJoined = false;
  /** Of the pairs that share no fabric; a round trip grows with the chord, so one stands for all. */
  let chordSquaredMax = -1;
  const kinds = kindsOf(index, gang);
  for (const [at, a] of kinds.entries()) {
    if (a.machines > 1) {
      if (a.fabric === NONE) chordSquaredMax = Math.max(chordSquaredMax, 0);
      else isJoined = true;
    }
    for (let other = 0; other < at; other++) {
      const b = kinds[other] as Kind;
      if (a.fabric !== NONE && a.fabric === b.fabric) isJoined = true;
      else chordSquaredMax = Math.max(chordSquaredMax, chordSquared(a.point, b.point));
    }
  }
  const farthest = chordSquaredMax < 0 ? 0 : rttMsOfChord(chordSquaredMax);
  return isJoined ? Math.max(farthest, RTT_FABRIC_MS) : farthest;
}

function kindsOf(index: NetworkIndex, gang: Gang): Kind[] {
  const { site, fabric } = index.columns;
  const kinds = new Map<number, Kind>();
  for (const row of gang.rows) {
    const siteCode = site[row] as number;
    const fabricCode = fabric[row] as number;
    const key = siteCode * FABRICS_MAX + fabricCode;
    const kind = kinds.get(key);
    if (kind === undefined) {
      kinds.set(key, { point: index.sitePoints[siteCode] as Point, fabric: fabricCode, machines: 1 });
    } else kind.machines++;
  }
  return [...kinds.values()];
}
