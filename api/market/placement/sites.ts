/** The places where candidates stand, and how far they are from each other. */
import type { Point } from "../round-trip.ts";
import type { Candidates } from "./candidates.ts";
import { Numbering } from "./numbering.ts";

/** A search is over before the next one begins, so all share it. At most one {@link Sites} is in use at a time. */
const numbers = new Numbering();

/** The sites of some candidates, numbered in the order in which the candidates first name them; found as they are needed. */
export class Sites {
  length = 0;
  /** Ranks that the candidates of each site can hold, as far as they have been looked at. */
  readonly ranks: number[] = [];
  /** Where each site's first candidate stands. */
  readonly first: number[] = [];
  // Points apart by axis: arrays of doubles, which a pass over all sites reads several times as fast as objects.
  readonly #x: number[] = [];
  readonly #y: number[] = [];
  readonly #z: number[] = [];
  readonly #candidates: Candidates;
  readonly #siteOf: number[] = [];

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

  /** The site of a candidate. */
  of(at: number): number {
    while (this.#siteOf.length <= at) if (!this.#look()) throw new RangeError(`there is no candidate ${at}`);
    return this.#siteOf[at] as number;
  }

  isNear(a: number, b: number, chordSquaredLimit: number): boolean {
    return a === b || this.chordSquared(a, b) <= chordSquaredLimit;
  }

  /** As `chordSquared` of round-trip.ts. */
  chordSquared(a: number, b: number): number {
    const x = (this.#x[a] as number) - (this.#x[b] as number);
    const y = (this.#y[a] as number) - (this.#y[b] as number);
    const z = (this.#z[a] as number) - (this.#z[b] as number);
    return x * x + y * y + z * z;
  }

  /** Ranks that all sites within reach of one could hold. */
  ranksWithin(centre: number, chordSquaredLimit: number): number {
    this.all();
    let sum = 0;
    for (let site = 0; site < this.length; site++) {
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
    const site = numbers.of(code);
    if (site === this.length) {
      this.length++;
      const { x, y, z } = index.sitePoints[code] as Point;
      this.#x.push(x);
      this.#y.push(y);
      this.#z.push(z);
      this.ranks.push(0);
      this.first.push(at);
    }
    this.#siteOf.push(site);
    this.ranks[site] = (this.ranks[site] as number) + candidates.ranks(at);
    return true;
  }
}
