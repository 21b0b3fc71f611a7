/** Runs a command on a cluster and prints what it prints. */
import type { ClusterHandle, RunOptions } from "../cluster-handle.ts";
import type { OutputLine } from "../command-output.ts";
import type { Cli } from "./cli.ts";
import { type Args, commandOf, type Field, type Flag, paramsOf, textOf } from "./flags.ts";
import { OPERATIONS } from "./generated.ts";

const HIDDEN: ReadonlySet<string> = new Set(["command", "stdin", "last-event-id"]);

const EXEC_FIELDS: readonly Field[] = (
  OPERATIONS.find(({ operation }) => operation === "clusters.exec")?.fields ?? []
).filter(({ flag }) => !HIDDEN.has(flag));

const STDIN_FLAG: Flag = {
  flag: "stdin",
  kind: "boolean",
  short: "i",
  about: "Hand this program's input to the command.",
};

export const EXEC_FLAGS: readonly Flag[] = [...EXEC_FIELDS, STDIN_FLAG];

/** The environment of the machines is set when they are reserved. */
export const RUN_FLAGS: readonly Flag[] = EXEC_FLAGS.filter(({ flag }) => flag !== "env");

function printLine(cli: Cli, line: OutputLine, isPrefixed: boolean): void {
  if (cli.isJson) {
    cli.terminal.out(`${JSON.stringify(line)}\n`);
    return;
  }
  const text = isPrefixed ? `[${line.rank}] ${line.text}` : line.text;
  cli.terminal[line.stream === "stdout" ? "out" : "err"](text);
}

/** @throws {CommandFailedError} after the last line, when a rank did not exit with 0 */
export async function execute(cli: Cli, cluster: ClusterHandle, args: Args): Promise<void> {
  const command = commandOf(args.words);
  const stdin = args.values.stdin === true ? await cli.terminal.readStdin() : undefined;
  const options = { ...paramsOf(EXEC_FIELDS, args), stdin, signal: cli.signal } as RunOptions;
  const isPrefixed = cluster.data.nodes.length > 1 && textOf(args, "rank") === undefined;
  for await (const line of cluster.run(command, options)) printLine(cli, line, isPrefixed);
}
