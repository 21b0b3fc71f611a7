/** The places where candidates stand, and how far they are from each other. */
import { chordSquared, type Point } from "../round-trip.ts";
import type { Candidates } from "./candidates.ts";

/** The sites of some candidates, numbered in the order in which the candidates first name them; found as they are needed. */
export class Sites {
  readonly points: Point[] = [];
  /** Ranks that the candidates of each site can hold, as far as they have been looked at. */
  readonly ranks: number[] = [];
  /** Where each site's first candidate stands. */
  readonly first: number[] = [];
  readonly #candidates: Candidates;
  readonly #siteOf: number[] = [];
  readonly #numbers = new Map<number, number>();

  constructor(candidates: Candidates) {
    this.#candidates = candidates;
  }

  /** Whether there is a site of that number. */
  has(site: number): boolean {
    while (this.points.length <= site) if (!this.#look()) return false;
    return true;
  }

  /** Finds all that there are. */
  all(): void {
    while (this.#look());
  }

  /** The site of a candidate. */
  of(at: number): number {
    while (this.#siteOf.length <= at) if (!this.#look()) throw new RangeError(`there is no candidate ${at}`);
    return this.#siteOf[at] as number;
  }

  isNear(a: number, b: number, chordSquaredLimit: number): boolean {
    return a === b || this.chordSquared(a, b) <= chordSquaredLimit;
  }

  chordSquared(a: number, b: number): number {
    return chordSquared(this.points[a] as Point, this.points[b] as Point);
  }

  /** Ranks that all sites within reach of one could hold. */
  ranksWithin(centre: number, chordSquaredLimit: number): number {
    this.all();
    let sum = 0;
    for (let site = 0; site < this.points.length; site++) {
      if (this.isNear(centre, site, chordSquaredLimit)) sum += this.ranks[site] as number;
    }
    return sum;
  }

  /** Looks at one more candidate. */
  #look(): boolean {
    const candidates = this.#candidates;
    const at = this.#siteOf.length;
    if (!candidates.has(at)) return false;
    const { index } = candidates;
    const code = index.columns.site[candidates.row(at)] as number;
    let site = this.#numbers.get(code);
    if (site === undefined) {
      site = this.points.length;
      this.#numbers.set(code, site);
      this.points.push(index.sitePoints[code] as Point);
      this.ranks.push(0);
      this.first.push(at);
    }
    this.#siteOf.push(site);
    this.ranks[site] = (this.ranks[site] as number) + candidates.ranks(at);
    return true;
  }
}
