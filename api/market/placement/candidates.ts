/** The machines that meet a wish one by one, in the order in which a placement prefers them. */
import type { Columns } from "../index/columns.ts";
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

export interface Candidates {
  readonly index: NetworkIndex;
  readonly order: Order;
  readonly rows: readonly number[];
  /** Ranks that each machine can hold. */
  readonly ranks: readonly number[];
}

/** Machines of a gang and the ranks that each holds, in the order in which they were taken. */
export interface Gang {
  readonly rows: readonly number[];
  readonly ranks: readonly number[];
}

export function listOf(index: NetworkIndex, gpu: string, order: Order): PostingList | undefined {
  const lists = index.listsOf(gpu);
  return order === "price" ? lists?.byPrice : lists?.byReliability;
}

export function collect(index: NetworkIndex, list: PostingList, filter: RowFilter, order: Order): Candidates {
  const rows: number[] = [];
  const ranks: number[] = [];
  const { columns } = index;
  for (let at = 0; at < list.length; at++) {
    const row = list.rows[at] as number;
    if (order === "price" && (columns.price[row] as number) > filter.priceMax) break;
    const count = ranksOn(columns, filter, row);
    if (count === 0) continue;
    rows.push(row);
    ranks.push(count);
  }
  return { index, order, rows, ranks };
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

/** Takes candidates in order, as far as `accepts` lets it, until every rank has a place; null when some have none. */
export function fill(
  candidates: Candidates,
  ranksWanted: number,
  from: number,
  accepts: (at: number) => boolean,
): Gang | null {
  const rows: number[] = [];
  const ranks: number[] = [];
  let left = ranksWanted;
  for (let at = from; at < candidates.rows.length; at++) {
    if (!accepts(at)) continue;
    const count = Math.min(left, candidates.ranks[at] as number);
    rows.push(candidates.rows[at] as number);
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
