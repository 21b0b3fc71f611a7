/** Flags: how they are declared, read from the command line, and put into the params of an operation. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import type { OperationId } from "../generated.ts";
import { CliError, EXIT } from "./exit-codes.ts";

/**
 * - `list`: separated by commas, or given several times;
 * - `map`: NAME=VALUE, given several times;
 * - `span`: seconds, or text such as 2h30m;
 * - `words`: what follows `--`: one word is a shell line, several are program and arguments.
 */
export type FlagKind = "text" | "integer" | "number" | "boolean" | "list" | "map" | "span" | "json" | "words";

export interface Flag {
  readonly flag: string;
  readonly short?: string;
  readonly kind: FlagKind;
  readonly isRequired?: boolean;
  readonly values?: readonly string[];
  /** What holds when it is not given, as JSON. */
  readonly fallback?: string;
  readonly about?: string;
}

/** A field of an operation's input; `path` leads to it in the params of the SDK. */
export interface Field extends Flag {
  readonly path: readonly string[];
}

export interface OperationLine {
  readonly operation: OperationId;
  readonly summary: string;
  /** Positional arguments. */
  readonly path: readonly string[];
  readonly fields: readonly Field[];
}

export interface Args {
  readonly positionals: readonly string[];
  /** What follows `--`. */
  readonly words: readonly string[];
  readonly values: Readonly<Record<string, unknown>>;
}

export const COMMON_FLAGS: readonly Flag[] = [
  { flag: "json", kind: "boolean", about: "JSON on stdout, for scripts; errors as JSON on stderr." },
  { flag: "api-url", kind: "text", about: "Where the API is; also VOLLEY_API_URL." },
  { flag: "token", kind: "text", about: "Credential of this call; better in VOLLEY_TOKEN, which others can't see." },
  { flag: "help", short: "h", kind: "boolean", about: "Help on this command." },
];

function usage(message: string): CliError {
  return new CliError(EXIT.usage, message, "See `volley help`.");
}

function readNumber(flag: Flag, text: string): number {
  const value = Number(text);
  const isFit = text.trim() !== "" && (flag.kind === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value));
  if (!isFit)
    throw usage(`--${flag.flag} takes ${flag.kind === "integer" ? "a whole number" : "a number"}, not "${text}"`);
  return value;
}

function readMap(flag: Flag, entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf("=");
      if (at < 1) throw usage(`--${flag.flag} takes NAME=VALUE, not "${entry}"`);
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

function readJson(flag: Flag, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usage(`--${flag.flag} takes JSON, not "${text}"`);
  }
}

function readText(flag: Flag, text: string): string {
  if (flag.values !== undefined && !flag.values.includes(text)) {
    throw usage(`--${flag.flag} takes ${flag.values.join(", ")}; not "${text}"`);
  }
  return text;
}

function readValue(flag: Flag, raw: unknown): unknown {
  if (flag.kind === "boolean") return raw;
  if (flag.kind === "list") return (raw as string[]).flatMap((text) => text.split(",")).filter((text) => text !== "");
  if (flag.kind === "map") return readMap(flag, raw as string[]);
  const text = String(raw);
  if (flag.kind === "integer" || flag.kind === "number") return readNumber(flag, text);
  if (flag.kind === "json") return readJson(flag, text);
  if (flag.kind === "span") return /^[0-9]+$/.test(text) ? readNumber({ ...flag, kind: "integer" }, text) : text;
  return readText(flag, text);
}

type Options = NonNullable<ParseArgsConfig["options"]>;

/** A span also goes by the name of its field; a boolean that holds by itself has a counterpart that ends it. */
function namesOf(flag: Flag): string[] {
  if (flag.kind === "span") return [flag.flag, `${flag.flag}-seconds`];
  return flag.kind === "boolean" ? [flag.flag, `no-${flag.flag}`] : [flag.flag];
}

function optionsOf(flags: readonly Flag[]): Options {
  const options: Options = {};
  for (const flag of flags) {
    if (flag.kind === "words") continue;
    for (const name of namesOf(flag)) {
      options[name] = {
        type: flag.kind === "boolean" ? "boolean" : "string",
        multiple: flag.kind === "list" || flag.kind === "map",
        ...(flag.short === undefined || name !== flag.flag ? {} : { short: flag.short }),
      };
    }
  }
  return options;
}

function givenValue(flag: Flag, values: Readonly<Record<string, unknown>>): unknown {
  if (flag.kind === "boolean") return values[`no-${flag.flag}`] === true ? false : values[flag.flag];
  return namesOf(flag)
    .map((name) => values[name])
    .find((value) => value !== undefined);
}

/** @throws {CliError} with the code for usage */
export function readArgs(argv: readonly string[], flags: readonly Flag[]): Args {
  const end = argv.indexOf("--");
  const own = end === -1 ? argv : argv.slice(0, end);
  const all = [...flags, ...COMMON_FLAGS];
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...own], options: optionsOf(all), allowPositionals: true, strict: true });
  } catch (error) {
    throw usage(error instanceof Error ? (error.message.split(". To specify")[0] ?? error.message) : String(error));
  }
  const values: Record<string, unknown> = {};
  for (const flag of all) {
    const raw = givenValue(flag, parsed.values);
    if (raw !== undefined) values[flag.flag] = readValue(flag, raw);
  }
  return { positionals: parsed.positionals, words: end === -1 ? [] : argv.slice(end + 1), values };
}

/** One word is a shell line, several are program and arguments. */
export function commandOf(words: readonly string[]): string | string[] {
  const [first, ...rest] = words;
  if (first === undefined) throw usage("the command is missing: give it after `--`");
  return rest.length === 0 ? first : [first, ...rest];
}

/**
 * The params of an operation.
 * @throws {CliError} with the code for usage when one that is required is missing
 */
export function paramsOf(fields: readonly Field[], args: Args): Record<string, unknown> {
  const params: Record<string, unknown> = {};
  for (const field of fields) {
    const value = field.kind === "words" ? commandOf(args.words) : args.values[field.flag];
    if (value === undefined) {
      if (field.isRequired) throw usage(`--${field.flag} is missing`);
      continue;
    }
    const [name = "", ...deeper] = field.path;
    const [inner] = deeper;
    params[name] = inner === undefined ? value : { ...(params[name] as object | undefined), [inner]: value };
  }
  return params;
}

/** A flag's value, where its kind is known. */
export function textOf(args: Args, flag: string): string | undefined {
  const value = args.values[flag];
  return value === undefined ? undefined : String(value);
}
