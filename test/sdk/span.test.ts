import { assert, integer, property } from "fast-check";
import { expect, test } from "vitest";
import { toSeconds } from "../../sdk/index.ts";

test.each([
  ["90s", 90],
  ["2h30m", 9000],
  ["1d", 86_400],
  ["1d1h1m1s", 90_061],
  ["0s", 0],
  [3600, 3600],
])("%j is %i seconds", (span, seconds) => {
  expect(toSeconds(span)).toBe(seconds);
});

test.each([
  "",
  "4",
  "h",
  "1.5h",
  "30m2h",
  "-1h",
  "1h ",
  " 1h",
  "1H",
  "1h1h",
  "1w",
  1.5,
  -1,
  Number.NaN,
  Infinity,
  2 ** 60,
])("%j is refused", (span) => {
  expect(() => toSeconds(span)).toThrow(RangeError);
});

test("parts add up", () => {
  const part = integer({ min: 0, max: 999 });
  assert(
    property(part, part, part, part, (days, hours, minutes, seconds) => {
      const expected = days * 86_400 + hours * 3600 + minutes * 60 + seconds;
      expect(toSeconds(`${days}d${hours}h${minutes}m${seconds}s`)).toBe(expected);
    }),
  );
});
