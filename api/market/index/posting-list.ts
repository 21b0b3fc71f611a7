import { grown } from "./columns.ts";

/** A total order of rows: never 0 for two different ones. */
export type RowOrder = (a: number, b: number) => number;

/** Rows in a fixed order. A row must leave the list before a column that the order reads changes. */
export class PostingList {
  rows = new Uint32Array(0);
  length = 0;
  readonly #order: RowOrder;

  constructor(order: RowOrder) {
    this.#order = order;
  }

  /** Takes these rows, in any order, instead of what it held. */
  replace(rows: Uint32Array<ArrayBuffer>): void {
    rows.sort(this.#order);
    this.rows = rows;
    this.length = rows.length;
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
