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

/** Machines that are looked at together: few at first, since most searches end soon. */
const BLOCK_ROWS_MIN = 16;
const BLOCK_ROWS_MAX = 1024;
const block = new Uint32Array(BLOCK_ROWS_MAX);

const NO_ROWS = new Uint32Array(0);

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
  readonly #rows: Uint32Array;
  /** Where in the list to look on, and where to end. */
  #next = 0;
  readonly #end: number;
  #blockRows = BLOCK_ROWS_MIN;

  constructor(index: NetworkIndex, gpu: string, filter: RowFilter, order: Order) {
    const lists = index.listsOf(gpu);
    this.index = index;
    this.order = order;
    const { gpusMax, hasFabric } = index.reachOf(gpu);
    this.ranksMax = Math.floor(gpusMax / filter.gpusPerRank);
    this.hasFabric = hasFabric;
    this.#filter = filter;
    const list = order === "price" ? lists?.byPrice : lists?.byReliability;
    this.#rows = list?.rows ?? NO_ROWS;
    this.#end = list === undefined ? 0 : endOf(list, index.columns, filter, order);
  }

  /** Whether there is a candidate at that place. */
  has(at: number): boolean {
    return at < this.length || this.#look(at + 1);
  }

  /** Whether all that there are have been found. */
  get isComplete(): boolean {
    return this.#next === this.#end;
  }

  row(at: number): number {
    return room.rows[at] as number;
  }

  /** Ranks that the machine can hold. */
  ranks(at: number): number {
    return room.ranks[at] as number;
  }

  /** Looks on until there are `wanted`; false when there are fewer. */
  #look(wanted: number): boolean {
    while (this.length < wanted) {
      if (this.#next === this.#end) return false;
      this.#lookAtBlock(Math.min(this.#blockRows, this.#end - this.#next));
      this.#blockRows = Math.min(this.#blockRows * 2, BLOCK_ROWS_MAX);
    }
    return true;
  }

  /**
   * Looks at the next machines of the list. Those with too few GPUs are sorted out first, without a branch: whether a
   * machine is free is as good as random, and a processor that guesses wrong loses the time of several machines.
   */
  #lookAtBlock(count: number): void {
    const { columns } = this.index;
    const filter = this.#filter;
    const { gpus, gpusPerRank } = filter;
    const listed = this.#rows;
    const from = this.#next;
    let free = 0;
    for (let at = from; at < from + count; at++) {
      const row = listed[at] as number;
      block[free] = row;
      // 1 when the difference is not negative.
      free += (((gpus[row] as number) - gpusPerRank) >>> 31) ^ 1;
    }
    this.#next = from + count;
    makeRoom(this.length + free);
    const { rows, ranks } = room;
    let length = this.length;
    for (let at = 0; at < free; at++) {
      const row = block[at] as number;
      const held = ranksOn(columns, filter, row);
      if (held === 0) continue;
      rows[length] = row;
      ranks[length] = held;
      length++;
    }
    this.length = length;
  }
}

/** In the order of price, the machines that are too dear come last. */
function endOf(list: PostingList, { price }: Columns, { priceMax }: RowFilter, order: Order): number {
  if (order !== "price" || priceMax === Infinity) return list.length;
  return list.firstNot((row) => (price[row] as number) <= priceMax);
}

function makeRoom(candidates: number): void {
  if (candidates <= room.rows.length) return;
  const capacity = Math.max(candidates, room.rows.length * 2);
  room.rows = grown(Uint32Array, room.rows, capacity);
  room.ranks = grown(Uint32Array, room.ranks, capacity);
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
