import type { Command } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import { COMMON_FLAGS, type Flag } from "./flags.ts";

const KIND_HINTS: Readonly<Record<Flag["kind"], string>> = {
  text: " <text>",
  integer: " <n>",
  number: " <n>",
  boolean: "",
  list: " <a,b>",
  map: " <NAME=VALUE>",
  span: " <time>",
  json: " <json>",
  words: "",
};

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd()).join("\n");
}

function flagRow(flag: Flag): readonly [string, string] {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  const about = [
    flag.about,
    flag.values === undefined || flag.values.length === 0 ? undefined : `One of ${flag.values.join(", ")}.`,
    flag.isRequired ? "Required." : undefined,
    flag.fallback === undefined ? undefined : `Default: ${flag.fallback}.`,
  ];
  return [`${short}--${flag.flag}${KIND_HINTS[flag.kind]}`, about.filter((part) => part !== undefined).join(" ")];
}

export function commandHelp(command: Command): string {
  const parts = [
    `volley ${command.name} ${command.usage}`.trimEnd(),
    `${command.summary}.${command.notes === undefined ? "" : ` ${command.notes}`}`,
    "",
    columns([...command.flags, ...COMMON_FLAGS].map(flagRow)),
  ];
  return `${parts.join("\n")}\n`;
}

const rowOf = ({ name, summary }: Command): readonly [string, string] => [name, summary];

const EXIT_TEXTS: readonly (readonly [string, string])[] = [
  [String(EXIT.ok), "it worked"],
  [String(EXIT.usage), "the command line is wrong, or a field"],
  [String(EXIT.data), "a receipt doesn't verify, or a file can't be read"],
  [String(EXIT.notFound), "not found, or not opened by this credential"],
  [String(EXIT.capacity), "nobody rents that out now, or not at that price; the quote is gone"],
  [String(EXIT.internal), "a fault on Volley's side or in this program"],
  [String(EXIT.clusterFailed), "the cluster, or a command without an exit code, failed"],
  [String(EXIT.payment), "paying failed"],
  [String(EXIT.network), "no answer"],
  [String(EXIT.tryLater), "waiting took too long, or too many requests"],
  [String(EXIT.refused), "refused for another reason"],
  [String(EXIT.auth), "a credential is missing or wrong"],
  ["128+n", "interrupted by signal n"],
  ["other", "that of the command, of `run` and `exec`"],
];

export function overview(
  comforts: readonly Command[],
  shorts: readonly Command[],
  operations: readonly Command[],
): string {
  const own = new Set(comforts.map(({ name }) => name));
  const parts = [
    "volley <command> [flags]    rents GPU clusters; `volley help <command>` says more",
    "",
    columns([...comforts, ...shorts.filter(({ name }) => !own.has(name))].map(rowOf)),
    "",
    "Every operation of the API:",
    "",
    columns(operations.map(rowOf)),
    "",
    "Exit codes:",
    "",
    columns(EXIT_TEXTS),
  ];
  return `${parts.join("\n")}\n`;
}
