/** Gangs whose ranks may stand anywhere: the first machines in order are the best gang there is. */
import type { NetworkIndex } from "../index/network-index.ts";
import { type RowFilter, ranksOn } from "../index/row-filter.ts";
import { type Gang, listOf, type Order } from "./candidates.ts";

/**
 * Walks the model's machines in order until every rank has a place, and no further. Exact: a rank costs the same
 * wherever else the others are, so no gang has a lower sum than the one that takes the least each time.
 */
export function placeAnywhere(
  index: NetworkIndex,
  gpu: string,
  filter: RowFilter,
  order: Order,
  ranksWanted: number,
): Gang | null {
  const list = listOf(index, gpu, order);
  if (list === undefined) return null;
  const { columns } = index;
  const rows: number[] = [];
  const ranks: number[] = [];
  let left = ranksWanted;
  for (let at = 0; at < list.length; at++) {
    const row = list.rows[at] as number;
    if (order === "price" && (columns.price[row] as number) > filter.priceMax) break;
    const room = ranksOn(columns, filter, row);
    if (room === 0) continue;
    const count = Math.min(left, room);
    rows.push(row);
    ranks.push(count);
    left -= count;
    if (left === 0) return { rows, ranks };
  }
  return null;
}
