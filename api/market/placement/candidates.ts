/** The machines that meet a wish one by one, in the order in which a placement prefers them. */
import { type Columns, grown } from "../index/columns.ts";
import type { NetworkIndex } from "../index/network-index.ts";
import type { PostingList } from "../index/posting-list.ts";
import { type RowFilter, ranksOn } from "../index/row-filter.ts";

/** `price`: cheapest first. `reliability`: most reliable first, then the cheaper. */
export type Order = "price" | "reliability";

/** What a gang is judged by; less is better, the first first. Prices and reliabilities are summed over ranks. */
export interface Score {
  readonly primary: number;
  readonly secondary: number;
}

/** Machines of a gang and the ranks that each holds, in the order in which they were taken. */
export interface Gang {
  readonly rows: readonly number[];
  readonly ranks: readonly number[];
}

/** A search is over before the next one begins, so all share this room and none has to make its own. */
const room = { rows: new Uint32Array(1024), ranks: new Uint32Array(1024) };

/** Looked for as they are needed: most searches end after a few. At most one of these is in use at a time. */
export class Candidates {
  readonly index: NetworkIndex;
  readonly order: Order;
  /** No machine of the model can hold more. */
  readonly ranksMax: number;
  /** Whether any machine of the model has stood in a fabric. */
  readonly hasFabric: boolean;
  length = 0;
  readonly #filter: RowFilter;
  readonly #list: PostingList | undefined;
  /** Where in the list to look on. */
  #next = 0;

  constructor(index: NetworkIndex, gpu: string, filter: RowFilter, order: Order) {
    const lists = index.listsOf(gpu);
    this.index = index;
    this.order = order;
    const { gpusMax, hasFabric } = index.reachOf(gpu);
    this.ranksMax = Math.floor(gpusMax / filter.gpusPerRank);
    this.hasFabric = hasFabric;
    this.#filter = filter;
    this.#list = order === "price" ? lists?.byPrice : lists?.byReliability;
  }

  /** Whether there is a candidate at that place. */
  has(at: number): boolean {
    return at < this.length || this.#look(at + 1);
  }

  /** Whether all that there are have been found. */
  get isComplete(): boolean {
    return this.#next === (this.#list?.length ?? 0);
  }

  row(at: number): number {
    return room.rows[at] as number;
  }

  /** Ranks that the machine can hold. */
  ranks(at: number): number {
    return room.ranks[at] as number;
  }

  /** Looks on until there are `wanted`, or about twice as many as there were; false when there are fewer than wanted. */
  #look(wanted: number): boolean {
    const list = this.#list;
    if (list === undefined) return false;
    const { columns } = this.index;
    const { price } = columns;
    const filter = this.#filter;
    const priceMax = this.order === "price" ? filter.priceMax : Infinity;
    const goal = Math.max(wanted, this.length * 2);
    while (goal > room.rows.length) {
      room.rows = grown(Uint32Array, room.rows, room.rows.length * 2);
      room.ranks = grown(Uint32Array, room.ranks, room.ranks.length * 2);
    }
    const { rows: found, ranks: foundRanks } = room;
    const { rows, length: end } = list;
    let next = this.#next;
    let length = this.length;
    while (length < goal && next < end) {
      const row = rows[next++] as number;
      if ((price[row] as number) > priceMax) {
        next = end;
        break;
      }
      const ranks = ranksOn(columns, filter, row);
      if (ranks > 0) {
        found[length] = row;
        foundRanks[length] = ranks;
        length++;
      }
    }
    this.#next = next;
    this.length = length;
    return length >= wanted;
  }
}

/** What one rank on this machine adds to a gang's {@link Score}. */
export function primaryOf(columns: Columns, order: Order, row: number): number {
  return order === "price" ? (columns.price[row] as number) : -(columns.reliability[row] as number);
}

export function secondaryOf(columns: Columns, order: Order, row: number): number {
  return order === "price" ? 0 : (columns.price[row] as number);
}

export function isBetter(a: Score, b: Score): boolean {
  return a.primary < b.primary || (a.primary === b.primary && a.secondary < b.secondary);
}

/**
 * Takes candidates in order, as far as `accepts` lets it, until every rank has a place.
 * @param unlike gives up once no gang can be better than this score any more
 * @returns null when some ranks have no place, or it gave up
 */
export function fill(
  candidates: Candidates,
  ranksWanted: number,
  from: number,
  accepts: (at: number) => boolean,
  unlike: Score | null = null,
): Gang | null {
  const { index, order } = candidates;
  const rows: number[] = [];
  const ranks: number[] = [];
  let left = ranksWanted;
  let primary = 0;
  for (let at = from; candidates.has(at); at++) {
    if (unlike !== null) {
      // Candidates are in order, so every rank to come adds at least this much.
      const each = primaryOf(index.columns, order, candidates.row(at));
      const least = primary + left * each;
      if (order === "price" ? least >= unlike.primary : least > unlike.primary) return null;
    }
    if (!accepts(at)) continue;
    if (unlike !== null)
      primary += Math.min(left, candidates.ranks(at)) * primaryOf(index.columns, order, candidates.row(at));
    const count = Math.min(left, candidates.ranks(at));
    rows.push(candidates.row(at));
    ranks.push(count);
    left -= count;
    if (left === 0) return { rows, ranks };
  }
  return null;
}

export function scoreOf(columns: Columns, order: Order, gang: Gang): Score {
  let primary = 0;
  let secondary = 0;
  for (const [at, row] of gang.rows.entries()) {
    const count = gang.ranks[at] as number;
    primary += count * primaryOf(columns, order, row);
    secondary += count * secondaryOf(columns, order, row);
  }
  return { primary, secondary };
}
