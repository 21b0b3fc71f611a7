/**
 * Finds a machine's row by its id. A Map from strings would do the same with four times the memory and ten times
 * the work at loading; here a slot is one integer, and the ids themselves stay in the index's column.
 */

const SLOTS_MIN = 64;
/** The end of an id is its random part, so these characters spread well. */
const HASHED_CHARACTERS = 12;

export class RowTable {
  readonly #ids: readonly string[];
  /** Row plus one; 0 for an empty slot. The length is a power of two, and more than half of the slots are empty. */
  #slots = new Uint32Array(SLOTS_MIN);
  #used = 0;

  /** @param ids id of each row; may grow, but an id in the table never changes */
  constructor(ids: readonly string[]) {
    this.#ids = ids;
  }

  /** @returns the row, or -1 */
  find(id: string): number {
    const slots = this.#slots;
    for (let slot = hash(id) & (slots.length - 1); ; slot = (slot + 1) & (slots.length - 1)) {
      const row = (slots[slot] as number) - 1;
      if (row < 0 || this.#ids[row] === id) return row;
    }
  }

  /** Adds a row whose id is not in the table. */
  add(row: number): void {
    if (++this.#used * 2 > this.#slots.length) this.#grow();
    this.#place(row);
  }

  /** Takes the rows from 0 on, so many, instead of what it held. */
  replace(rows: number): void {
    let slots = SLOTS_MIN;
    while (slots < rows * 2) slots *= 2;
    this.#slots = new Uint32Array(slots);
    this.#used = rows;
    for (let row = 0; row < rows; row++) this.#place(row);
  }

  #place(row: number): void {
    const slots = this.#slots;
    let slot = hash(this.#ids[row] as string) & (slots.length - 1);
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
    slots[slot] = row + 1;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    for (const slot of old) if (slot !== 0) this.#place(slot - 1);
  }
}

/** FNV-1a (32 bits) over the end of the id, mixed once more because table sizes are powers of two. */
function hash(id: string): number {
  let value = 0x811c9dc5;
  for (let at = Math.max(0, id.length - HASHED_CHARACTERS); at < id.length; at++) {
    value = Math.imul(value ^ id.charCodeAt(at), 0x01000193);
  }
  return (value ^ (value >>> 15)) >>> 0;
}
