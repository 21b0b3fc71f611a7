/** Reads what a caller sent against an operation's input schema, and says in its words what is wrong. */
import { type FieldError, VolleyError } from "@volley/schema/errors";
import type { InputOf, Operation } from "@volley/schema/operation";
import { distance } from "fastest-levenshtein";
import type { z } from "zod";

const FIELD_ERRORS_MAX = 50;
/** Fields that hold positions issued by us have a code of their own. */
const CURSOR_FIELDS = new Set(["cursor", "last_event_id"]);

type Issue = z.core.$ZodIssue;

function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

const SEEN_LENGTH_MAX = 40;
function seen(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > SEEN_LENGTH_MAX ? `${text.slice(0, SEEN_LENGTH_MAX)}…` : text;
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  record: "an object",
};

function nearest(name: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, far: distance(name, candidate) }))
    .sort((a, b) => a.far - b.far);
  return best !== undefined && best.far <= Math.max(2, name.length / 3) ? best.candidate : undefined;
}

function sentence(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      if (issue.input === undefined) return `is required: ${KINDS[issue.expected] ?? issue.expected}`;
      return `must be ${KINDS[issue.expected] ?? issue.expected}, not ${seen(issue.input)}`;
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.join(", ")}, not ${seen(issue.input)}`;
    case "too_small":
    case "too_big": {
      const [limit, bound] = issue.code === "too_small" ? [issue.minimum, "at least"] : [issue.maximum, "at most"];
      const unit = issue.origin === "string" ? " characters long" : issue.origin === "array" ? " items long" : "";
      const strict = issue.inclusive === false ? (issue.code === "too_small" ? "more than" : "less than") : bound;
      return `must be ${strict} ${limit}${unit}`;
    }
    case "invalid_union": {
      const ways = issue.errors.flatMap((branch) => branch.slice(0, 1).map(sentence));
      return ways.length === 0 ? issue.message : [...new Set(ways)].join(", or ");
    }
    default:
      return issue.message;
  }
}

function fieldErrors(issue: Issue, known: readonly string[]): FieldError[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const guess = issue.path.length === 0 ? nearest(key, known) : undefined;
      return {
        pointer: pointerOf([...issue.path, key]),
        code: "unknown_field",
        message: `is not a field here${guess === undefined ? "" : `; did you mean "${guess}"?`}`,
      };
    });
  }
  if (issue.code === "invalid_key") {
    return issue.issues.map((inner) => ({
      pointer: pointerOf(issue.path),
      code: "invalid_field",
      message: sentence(inner),
    }));
  }
  return [{ pointer: pointerOf(issue.path), code: "invalid_field", message: sentence(issue) }];
}

/** The error for faults in the input; its code is the most telling one of all faults. */
export function inputError(errors: readonly FieldError[]): VolleyError {
  const shown = errors.slice(0, FIELD_ERRORS_MAX);
  const [first] = shown;
  const where = first === undefined ? "" : `${first.pointer === "" ? "The body" : first.pointer} ${first.message}.`;
  const unknown = shown.every((error) => error.code === "unknown_field");
  const cursor = shown.every((error) => error.code === "invalid_cursor");
  return new VolleyError(cursor ? "invalid_cursor" : unknown ? "unknown_field" : "invalid_field", where, {
    errors: shown,
    nextAction: unknown
      ? "Leave the field out, or look up its name in /docs."
      : "Correct the fields that `errors` points to.",
  });
}

/** @throws {VolleyError} `invalid_field`, `unknown_field` or `invalid_cursor`, with one entry per fault */
export function parseInput<Op extends Operation>(operation: Op, raw: unknown): InputOf<Op> {
  const parsed = operation.input.safeParse(raw, { reportInput: true });
  if (parsed.success) return parsed.data as InputOf<Op>;
  const known = Object.keys(operation.input.shape);
  throw inputError(
    parsed.error.issues
      .flatMap((issue) => fieldErrors(issue, known))
      .map((error) => (CURSOR_FIELDS.has(error.pointer.slice(1)) ? { ...error, code: "invalid_cursor" } : error)),
  );
}
