import { grown } from "./columns.ts";

/** A total order of rows: never 0 for two different ones. */
export type RowOrder = (a: number, b: number) => number;

/** Rows in a fixed order. A row must leave the list before a column that the order reads changes. */
export class PostingList {
  rows = new Uint32Array(0);
  length = 0;
  readonly #order: RowOrder;
  readonly #firstKey: (row: number) => number;

  /** @param firstKey the whole number, not negative, by which the order sorts first */
  constructor(order: RowOrder, firstKey: (row: number) => number) {
    this.#order = order;
    this.#firstKey = firstKey;
  }

  /** Takes these rows, in any order, instead of what it held. */
  replace(rows: Uint32Array<ArrayBuffer>): void {
    this.rows = sorted(rows, this.#order, this.#firstKey);
    this.length = rows.length;
  }

  /** For when the rows themselves were put in this order: they are numbered from `first` on now. */
  renumber(first: number): void {
    for (let at = 0; at < this.length; at++) this.rows[at] = first + at;
  }

  insert(row: number): void {
    if (this.length === this.rows.length) {
      this.rows = grown(Uint32Array, this.rows, Math.max(8, Math.ceil(this.length * 1.5)));
    }
    const at = this.#position(row);
    this.rows.copyWithin(at + 1, at, this.length);
    this.rows[at] = row;
    this.length++;
  }

  /** @throws {Error} when the row is not where the order puts it, which means that the list is damaged */
  remove(row: number): void {
    const at = this.#position(row);
    if (at >= this.length || this.rows[at] !== row) throw new Error(`row ${row} is not in its posting list`);
    this.rows.copyWithin(at, at + 1, this.length);
    this.length--;
  }

  /** Of the first row that `isBefore` says no to; rows must be sorted by it. */
  firstNot(isBefore: (row: number) => boolean): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.rows[middle] as number)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #position(row: number): number {
    return this.firstNot((other) => other !== row && this.#order(other, row) < 0);
  }
}

/** Key and place of a row share one double: as many places as bits are left beside the key. */
const PLACES = 2 ** 18;
const KEY_MAX = 2 ** 53 / PLACES - 1;

/** Sorts by the key alone, which is many times faster than by comparing, and then each run of equal keys. */
function sorted(
  rows: Uint32Array<ArrayBuffer>,
  order: RowOrder,
  firstKey: (row: number) => number,
): Uint32Array<ArrayBuffer> {
  const packed = new Float64Array(rows.length);
  for (let place = 0; place < rows.length; place++) {
    const key = firstKey(rows[place] as number);
    if (key > KEY_MAX || place >= PLACES) return rows.slice().sort(order);
    packed[place] = key * PLACES + place;
  }
  packed.sort();
  const result = new Uint32Array(rows.length);
  let runStart = 0;
  let runKey = -1;
  for (let at = 0; at <= packed.length; at++) {
    const value = at < packed.length ? (packed[at] as number) : Infinity;
    const key = Math.floor(value / PLACES);
    if (key !== runKey) {
      if (at - runStart > 1) result.subarray(runStart, at).sort(order);
      runStart = at;
      runKey = key;
    }
    if (at < packed.length) result[at] = rows[value - key * PLACES] as number;
  }
  return result;
}
