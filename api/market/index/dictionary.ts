import { Buffer } from "node:buffer";

/** Numbers strings in the order in which they are first seen, so that columns hold small integers. */
export class Dictionary {
  readonly values: string[] = [];
  readonly #codes = new Map<string, number>();

  /** The string's number; a new one for a new string. */
  code(value: string): number {
    const known = this.#codes.get(value);
    if (known !== undefined) return known;
    const code = this.values.length;
    // A copy: the value may be a slice, which would keep the whole text that it was cut from.
    const own = Buffer.from(value).toString();
    this.#codes.set(own, code);
    this.values.push(own);
    return code;
  }

  /** @returns the string's number, or -1 when it has none */
  find(value: string): number {
    return this.#codes.get(value) ?? -1;
  }
}
