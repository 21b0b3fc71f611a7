/** Columns as text in bytes: values parted by newlines, read in one pass without making a string of each. */
import { Buffer } from "node:buffer";

const NEWLINE = 10;
const ZERO = 48;
const MINUS = 45;

/** Reads whole numbers. */
export function readWhole(text: Uint8Array, count: number, write: (at: number, value: number) => void): void {
  let position = 0;
  for (let at = 0; at < count; at++) {
    let value = 0;
    const isNegative = text[position] === MINUS;
    if (isNegative) position++;
    for (; position < text.length; position++) {
      const byte = text[position] as number;
      if (byte === NEWLINE) break;
      value = value * 10 + (byte - ZERO);
    }
    position++;
    write(at, isNegative ? -value : value);
  }
}

interface Known {
  readonly bytes: Uint8Array;
  readonly code: number;
}

/** Reads strings of which many are equal; asks for the code of each different one about once. */
export function readCodes(
  text: Uint8Array,
  count: number,
  codeOf: (value: string) => number,
  write: (at: number, code: number) => void,
): void {
  /** By hash, the last value that had it: a clash costs time, never a wrong code. */
  const seen = new Map<number, Known>();
  let from = 0;
  for (let at = 0; at < count; at++) {
    let hash = 0;
    let end = from;
    for (; end < text.length; end++) {
      const byte = text[end] as number;
      if (byte === NEWLINE) break;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    let known = seen.get(hash);
    if (known === undefined || !isAt(text, from, end, known.bytes)) {
      const bytes = text.slice(from, end);
      known = { bytes, code: codeOf(Buffer.from(bytes).toString("utf8")) };
      seen.set(hash, known);
    }
    write(at, known.code);
    from = end + 1;
  }
}

function isAt(text: Uint8Array, from: number, end: number, value: Uint8Array): boolean {
  if (value.length !== end - from) return false;
  for (let at = 0; at < value.length; at++) {
    if (text[from + at] !== value[at]) return false;
  }
  return true;
}

/** Cuts strings that all differ. They share the column's memory. */
export function readStrings(text: Uint8Array, count: number, write: (at: number, value: string) => void): void {
  const whole = Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString("latin1");
  let from = 0;
  for (let at = 0; at < count; at++) {
    const newline = whole.indexOf("\n", from);
    const end = newline < 0 ? whole.length : newline;
    write(at, whole.slice(from, end));
    from = end + 1;
  }
}
