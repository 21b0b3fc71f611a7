/** One page of machines over several models, in the order of price: a merge of the models' sorted lists. */
import type { NetworkIndex } from "./network-index.ts";
import type { PostingList } from "./posting-list.ts";
import { type RowFilter, ranksOn } from "./row-filter.ts";

/** Where a page ended: the machine's place in the order, whether or not it still is there. */
export interface OfferPosition {
  readonly price: number;
  readonly reliability: number;
  readonly id: string;
}

export interface OfferSearch {
  readonly models: readonly string[];
  /** Models with fewer matching machines are left out. */
  readonly machinesMin: number;
  readonly after: OfferPosition | null;
  readonly limit: number;
}

/** A model's list and the place of its next matching machine. */
interface Head {
  readonly list: PostingList;
  at: number;
  row: number;
}

/** @returns rows of matching machines: cheapest first, then the more reliable, then by id */
export function searchOffers(index: NetworkIndex, filter: RowFilter, search: OfferSearch): number[] {
  const lists = search.models.flatMap((gpu) => index.listsOf(gpu)?.byPrice ?? []);
  const heads = lists
    .filter((list) => search.machinesMin === 1 || hasMachines(index, filter, list, search.machinesMin))
    .map((list): Head => ({ list, at: search.after === null ? 0 : placeAfter(index, list, search.after), row: -1 }))
    .filter((head) => advance(index, filter, head));
  const found: number[] = [];
  while (found.length < search.limit) {
    const next = first(index, heads);
    if (next === null) break;
    found.push(next.row);
    next.at++;
    if (!advance(index, filter, next)) heads.splice(heads.indexOf(next), 1);
  }
  return found;
}

function hasMachines(index: NetworkIndex, filter: RowFilter, list: PostingList, wanted: number): boolean {
  let machines = 0;
  for (let at = 0; at < list.length && machines < wanted; at++) {
    if (ranksOn(index.columns, filter, list.rows[at] as number) > 0) machines++;
  }
  return machines >= wanted;
}

/** Negative when the row comes before the position, 0 when it is there. */
function compare(index: NetworkIndex, row: number, position: OfferPosition): number {
  const { price, reliability, ids } = index.columns;
  const id = ids[row] as string;
  return (
    (price[row] as number) - position.price ||
    position.reliability - (reliability[row] as number) ||
    (id < position.id ? -1 : id > position.id ? 1 : 0)
  );
}

function placeAfter(index: NetworkIndex, list: PostingList, position: OfferPosition): number {
  return list.firstNot((row) => compare(index, row, position) <= 0);
}

/** Moves to the next matching machine; false when there is none. */
function advance(index: NetworkIndex, filter: RowFilter, head: Head): boolean {
  const { price } = index.columns;
  for (; head.at < head.list.length; head.at++) {
    head.row = head.list.rows[head.at] as number;
    if ((price[head.row] as number) > filter.priceMax) return false;
    if (ranksOn(index.columns, filter, head.row) > 0) return true;
  }
  return false;
}

function first(index: NetworkIndex, heads: readonly Head[]): Head | null {
  const { price, reliability, ids } = index.columns;
  let best: Head | null = null;
  for (const head of heads) {
    const isFirst =
      best === null ||
      compare(index, head.row, {
        price: price[best.row] as number,
        reliability: reliability[best.row] as number,
        id: ids[best.row] as string,
      }) < 0;
    if (isFirst) best = head;
  }
  return best;
}
