/** The places where candidates stand, and how far they are from each other. */
import { grown } from "../index/columns.ts";
import type { Point } from "../round-trip.ts";
import type { Candidates } from "./candidates.ts";
import { Numbering } from "./numbering.ts";

/** A search is over before the next one begins, so all share it. At most one {@link Sites} is in use at a time. */
const numbers = new Numbering();

/** Room for what is known of each site, and for the site of each candidate. */
const room = {
  // Points apart by axis: a pass over all sites reads these several times as fast as objects.
  x: new Float64Array(1024),
  y: new Float64Array(1024),
  z: new Float64Array(1024),
  ranks: new Uint32Array(1024),
  first: new Uint32Array(1024),
  /** Square of the chord to the site around which others are looked for. */
  away: new Float64Array(1024),
  near: new Uint32Array(1024),
  siteOf: new Uint32Array(1024),
};

/** The sites of some candidates, numbered in the order in which the candidates first name them; found as they are needed. */
export class Sites {
  length = 0;
  readonly #candidates: Candidates;
  /** Candidates that were looked at. */
  #looked = 0;

  constructor(candidates: Candidates) {
    this.#candidates = candidates;
    numbers.restart();
  }

  /** Whether there is a site of that number. */
  has(site: number): boolean {
    while (this.length <= site) if (!this.#look()) return false;
    return true;
  }

  /** Finds all that there are. */
  all(): void {
    while (this.#look());
  }

  /** Ranks that the candidates of a site can hold, as far as they have been looked at. */
  ranks(site: number): number {
    return room.ranks[site] as number;
  }

  /** Where the site's first candidate stands. */
  first(site: number): number {
    return room.first[site] as number;
  }

  /** The site of a candidate. */
  of(at: number): number {
    while (this.#looked <= at) if (!this.#look()) throw new RangeError(`there is no candidate ${at}`);
    return room.siteOf[at] as number;
  }

  isNear(a: number, b: number, chordSquaredLimit: number): boolean {
    return a === b || this.chordSquared(a, b) <= chordSquaredLimit;
  }

  /** As `chordSquared` of round-trip.ts. */
  chordSquared(a: number, b: number): number {
    const x = (room.x[a] as number) - (room.x[b] as number);
    const y = (room.y[a] as number) - (room.y[b] as number);
    const z = (room.z[a] as number) - (room.z[b] as number);
    return x * x + y * y + z * z;
  }

  /** Whether all sites within reach of one, itself among them, could hold so many ranks. */
  haveRoomWithin(centre: number, chordSquaredLimit: number, ranksWanted: number): boolean {
    this.all();
    const { x, y, z, ranks } = room;
    const centreX = x[centre] as number;
    const centreY = y[centre] as number;
    const centreZ = z[centre] as number;
    let left = ranksWanted - this.ranks(centre);
    for (let site = 0; site < this.length && left > 0; site++) {
      const awayX = centreX - (x[site] as number);
      const awayY = centreY - (y[site] as number);
      const awayZ = centreZ - (z[site] as number);
      const away = awayX * awayX + awayY * awayY + awayZ * awayZ;
      if (away <= chordSquaredLimit && site !== centre) left -= ranks[site] as number;
    }
    return left <= 0;
  }

  /**
   * The nearest sites to one, itself among them, that together have room for so many ranks; of equally near ones those
   * with lower numbers. The farthest is the last, the others are in no order. None when all within reach have too little room.
   */
  nearest(centre: number, chordSquaredLimit: number, ranksWanted: number): Uint32Array {
    this.all();
    const { x, y, z, ranks, away, near } = room;
    const centreX = x[centre] as number;
    const centreY = y[centre] as number;
    const centreZ = z[centre] as number;
    let length = 0;
    let left = ranksWanted;
    for (let site = 0; site < this.length; site++) {
      const awayX = centreX - (x[site] as number);
      const awayY = centreY - (y[site] as number);
      const awayZ = centreZ - (z[site] as number);
      const squared = awayX * awayX + awayY * awayY + awayZ * awayZ;
      if (squared > chordSquaredLimit) continue;
      away[site] = squared;
      near[length++] = site;
      left -= ranks[site] as number;
    }
    return near.subarray(0, left > 0 ? 0 : nearestWithRoom(length, ranksWanted));
  }

  /** Square of the chord between the two of these sites that are farthest apart; null when it is over the limit. */
  width(of: Uint32Array, chordSquaredLimit: number): number | null {
    const { x, y, z } = room;
    let width = 0;
    // Where {@link nearest} put the farthest, at the end, two that are too far apart are found soonest.
    for (let at = of.length - 1; at > 0; at--) {
      const one = of[at] as number;
      const oneX = x[one] as number;
      const oneY = y[one] as number;
      const oneZ = z[one] as number;
      for (let before = 0; before < at; before++) {
        const other = of[before] as number;
        const awayX = oneX - (x[other] as number);
        const awayY = oneY - (y[other] as number);
        const awayZ = oneZ - (z[other] as number);
        const squared = awayX * awayX + awayY * awayY + awayZ * awayZ;
        if (squared > width) width = squared;
      }
      if (width > chordSquaredLimit) return null;
    }
    return width;
  }

  /** Looks at all candidates that have been found by now, at one at least; false when there are no more. */
  #look(): boolean {
    const candidates = this.#candidates;
    if (!candidates.has(this.#looked)) return false;
    const { index } = candidates;
    const codes = index.columns.site;
    const { length } = candidates;
    makeRoom(length);
    const { x, y, z, ranks, first, siteOf } = room;
    for (let at = this.#looked; at < length; at++) {
      const code = codes[candidates.row(at)] as number;
      const site = numbers.of(code);
      if (site === this.length) {
        this.length++;
        const point = index.sitePoints[code] as Point;
        x[site] = point.x;
        y[site] = point.y;
        z[site] = point.z;
        ranks[site] = 0;
        first[site] = at;
      }
      siteOf[at] = site;
      ranks[site] = (ranks[site] as number) + candidates.ranks(at);
    }
    this.#looked = length;
    return true;
  }
}

/**
 * Puts the nearest of the first `length` sites in `near` to its front, as many as it takes to hold all ranks, and says
 * how many these are: Hoare's selection, by room instead of by rank. Sorting all would take several times as long.
 */
function nearestWithRoom(length: number, ranksWanted: number): number {
  const { ranks, away, near } = room;
  let low = 0;
  let high = length - 1;
  let left = ranksWanted;
  while (low < high) {
    const pivot = near[(low + high) >>> 1] as number;
    const pivotAway = away[pivot] as number;
    near[(low + high) >>> 1] = near[high] as number;
    let middle = low;
    let held = 0;
    for (let at = low; at < high; at++) {
      const site = near[at] as number;
      const siteAway = away[site] as number;
      if (siteAway > pivotAway || (siteAway === pivotAway && site > pivot)) continue;
      near[at] = near[middle] as number;
      near[middle++] = site;
      held += ranks[site] as number;
    }
    near[high] = near[middle] as number;
    near[middle] = pivot;
    if (held >= left) {
      high = middle - 1;
    } else {
      left -= held + (ranks[pivot] as number);
      if (left <= 0) return middle + 1;
      low = middle + 1;
    }
  }
  return low + 1;
}

/** There are no more sites than candidates. */
function makeRoom(candidates: number): void {
  if (candidates <= room.siteOf.length) return;
  const capacity = Math.max(candidates, room.siteOf.length * 2);
  room.x = grown(Float64Array, room.x, capacity);
  room.y = grown(Float64Array, room.y, capacity);
  room.z = grown(Float64Array, room.z, capacity);
  room.ranks = grown(Uint32Array, room.ranks, capacity);
  room.first = grown(Uint32Array, room.first, capacity);
  room.away = grown(Float64Array, room.away, capacity);
  room.near = grown(Uint32Array, room.near, capacity);
  room.siteOf = grown(Uint32Array, room.siteOf, capacity);
}
