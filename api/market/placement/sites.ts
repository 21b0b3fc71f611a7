/** The places where candidates stand, and how far they are from each other. */
import { chordSquared, type Point } from "../round-trip.ts";
import type { Candidates } from "./candidates.ts";

/** The sites of some candidates, numbered in the order in which the candidates first name them. */
export interface Sites {
  /** Site of each candidate. */
  readonly siteOf: Uint32Array;
  readonly points: readonly Point[];
  /** Ranks that the candidates of each site can hold. */
  readonly ranks: readonly number[];
  /** Where each site's first candidate stands. */
  readonly first: readonly number[];
}

export function sitesOf(candidates: Candidates): Sites {
  const { index, rows } = candidates;
  const numbers = new Map<number, number>();
  const siteOf = new Uint32Array(rows.length);
  const points: Point[] = [];
  const ranks: number[] = [];
  const first: number[] = [];
  for (let at = 0; at < rows.length; at++) {
    const code = index.columns.site[rows[at] as number] as number;
    let site = numbers.get(code);
    if (site === undefined) {
      site = points.length;
      numbers.set(code, site);
      points.push(index.sitePoints[code] as Point);
      ranks.push(0);
      first.push(at);
    }
    siteOf[at] = site;
    ranks[site] = (ranks[site] as number) + (candidates.ranks[at] as number);
  }
  return { siteOf, points, ranks, first };
}

export function isNear(sites: Sites, a: number, b: number, chordSquaredLimit: number): boolean {
  return a === b || chordSquared(sites.points[a] as Point, sites.points[b] as Point) <= chordSquaredLimit;
}

/** Ranks that all sites within reach of one could hold. */
export function ranksWithin(sites: Sites, centre: number, chordSquaredLimit: number): number {
  let sum = 0;
  for (let site = 0; site < sites.points.length; site++) {
    if (isNear(sites, centre, site, chordSquaredLimit)) sum += sites.ranks[site] as number;
  }
  return sum;
}
