/** A length of time: whole seconds, or text such as "90s", "2h30m" or "1d". */
export type Span = number | string;

const SECONDS_BY_UNIT: Readonly<Record<string, number>> = { d: 86_400, h: 3600, m: 60, s: 1 };
const SPAN_PATTERN = /^(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?$/;

/**
 * Reads a span as whole seconds.
 * @throws {RangeError} when it is neither a whole number of seconds nor text of that form
 */
export function toSeconds(span: Span): number {
  if (typeof span === "number") {
    if (Number.isSafeInteger(span) && span >= 0) return span;
    throw new RangeError(`a time span is a whole number of seconds, not ${span}`);
  }
  const match = SPAN_PATTERN.exec(span);
  if (!match || span === "") {
    throw new RangeError(`"${span}" is no time span: write it with d, h, m and s in that order, such as "2h30m"`);
  }
  return Object.values(SECONDS_BY_UNIT).reduce((sum, factor, index) => sum + Number(match[index + 1] ?? 0) * factor, 0);
}
