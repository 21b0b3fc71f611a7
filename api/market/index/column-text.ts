/** Columns as text: values joined by newlines, read in one pass without making a string of each. */

const NEWLINE = 10;
const ZERO = 48;
const MINUS = 45;

/** Reads whole numbers. */
export function readWhole(text: string, count: number, write: (at: number, value: number) => void): void {
  let position = 0;
  for (let at = 0; at < count; at++) {
    let value = 0;
    const isNegative = text.charCodeAt(position) === MINUS;
    if (isNegative) position++;
    for (; position < text.length; position++) {
      const character = text.charCodeAt(position);
      if (character === NEWLINE) break;
      value = value * 10 + (character - ZERO);
    }
    position++;
    write(at, isNegative ? -value : value);
  }
}

/** Reads strings of which many are equal; asks for the code of each different one about once. */
export function readCodes(
  text: string,
  count: number,
  codeOf: (value: string) => number,
  write: (at: number, code: number) => void,
): void {
  /** By hash, the last value that had it: a clash costs time, never a wrong code. */
  const seen = new Map<number, { readonly value: string; readonly code: number }>();
  let from = 0;
  for (let at = 0; at < count; at++) {
    let hash = 0;
    let end = from;
    for (; end < text.length; end++) {
      const character = text.charCodeAt(end);
      if (character === NEWLINE) break;
      hash = (Math.imul(hash, 31) + character) | 0;
    }
    let known = seen.get(hash);
    if (known === undefined || !isAt(text, from, end, known.value)) {
      const value = text.slice(from, end);
      known = { value, code: codeOf(value) };
      seen.set(hash, known);
    }
    write(at, known.code);
    from = end + 1;
  }
}

/** Whether the text between two places is that value. `startsWith` says the same, much more slowly for short values. */
function isAt(text: string, from: number, end: number, value: string): boolean {
  if (value.length !== end - from) return false;
  for (let at = 0; at < value.length; at++) {
    if (text.charCodeAt(from + at) !== value.charCodeAt(at)) return false;
  }
  return true;
}

/** Reads strings that all differ. */
export function readStrings(text: string, count: number, write: (at: number, value: string) => void): void {
  let from = 0;
  for (let at = 0; at < count; at++) {
    const newline = text.indexOf("\n", from);
    const end = newline < 0 ? text.length : newline;
    write(at, text.slice(from, end));
    from = end + 1;
  }
}
