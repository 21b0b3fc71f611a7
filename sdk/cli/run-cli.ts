/** From a command line to an exit code. */
import { CommandFailedError } from "../command-output.ts";
import { APIError } from "../errors.ts";
import { Cli } from "./cli.ts";
import type { Command } from "./command.ts";
import { downCommand } from "./commands/down.ts";
import { execCommand } from "./commands/exec.ts";
import { extendCommand } from "./commands/extend.ts";
import { loginCommand } from "./commands/login.ts";
import { logoutCommand } from "./commands/logout.ts";
import { logsCommand } from "./commands/logs.ts";
import { payCommand } from "./commands/pay.ts";
import { psCommand } from "./commands/ps.ts";
import { quoteCommand } from "./commands/quote.ts";
import { rentCommand } from "./commands/rent.ts";
import { runCommand } from "./commands/run.ts";
import { verifyReceiptsCommand } from "./commands/verify-receipts.ts";
import { CliError, EXIT, exitCodeOf } from "./exit-codes.ts";
import { readArgs } from "./flags.ts";
import { commandHelp, overview } from "./help.ts";
import { OPERATION_COMMANDS, SHORT_FORMS } from "./operation-commands.ts";
import { printable, type Terminal } from "./terminal.ts";

const COMFORTS: readonly Command[] = [
  quoteCommand,
  rentCommand,
  runCommand,
  psCommand,
  execCommand,
  logsCommand,
  extendCommand,
  downCommand,
  payCommand,
  loginCommand,
  logoutCommand,
  verifyReceiptsCommand,
];

/** Made by hand first, so that they win over a short form of the same name. */
const COMMANDS: readonly Command[] = [...COMFORTS, ...SHORT_FORMS, ...OPERATION_COMMANDS];

/** Two words before one: `payments get` is more than `payments`. */
function findCommand(argv: readonly string[]): { command: Command; rest: readonly string[] } | null {
  for (const count of [2, 1]) {
    const name = argv.slice(0, count).join(" ");
    const command = COMMANDS.find((candidate) => candidate.name === name);
    if (command !== undefined && argv.length >= count) return { command, rest: argv.slice(count) };
  }
  return null;
}

function unknown(argv: readonly string[]): CliError {
  const [first = ""] = argv;
  const near = COMMANDS.filter(({ name }) => name.startsWith(first.slice(0, 3))).map(({ name }) => name);
  const hint = near.length === 0 ? "" : ` Did you mean ${near.slice(0, 5).join(", ")}?`;
  return new CliError(
    EXIT.usage,
    `There is no command "${printable(argv.slice(0, 2).join(" "))}".${hint}`,
    "See `volley help`.",
  );
}

function help(terminal: Terminal, words: readonly string[]): number {
  if (words.length === 0) {
    terminal.out(overview(COMFORTS, SHORT_FORMS, OPERATION_COMMANDS));
    return EXIT.ok;
  }
  const found = findCommand(words);
  const members = COMMANDS.filter(({ name }) => name.startsWith(`${words[0]} `));
  if (found === null && members.length === 0) throw unknown(words);
  const shown = found === null ? members : [found.command];
  terminal.out(shown.map(commandHelp).join("\n"));
  return EXIT.ok;
}

async function dispatch(terminal: Terminal, argv: readonly string[], version: string): Promise<number> {
  const [first, ...others] = argv;
  if (first === undefined) {
    terminal.err(overview(COMFORTS, SHORT_FORMS, OPERATION_COMMANDS));
    return EXIT.usage;
  }
  if (first === "--version" || first === "-V" || first === "version") {
    terminal.out(`${version}\n`);
    return EXIT.ok;
  }
  if (first === "help" || first === "--help" || first === "-h") return help(terminal, others);
  const found = findCommand(argv);
  if (found === null) {
    if (others.includes("--help") || others.includes("-h")) return help(terminal, [first]);
    throw unknown(argv);
  }
  const { command, rest } = found;
  const args = readArgs(rest, command.flags);
  if (args.values.help === true) return help(terminal, command.name.split(" "));
  if (args.positionals.length > command.positionalsMax) {
    const extra = args.positionals.slice(command.positionalsMax).join(" ");
    throw new CliError(EXIT.usage, `"${printable(extra)}" is too much.`, `See \`volley help ${command.name}\`.`);
  }
  return command.run(await Cli.open(terminal, args), args);
}

interface Failure {
  readonly message: string;
  readonly nextAction: string | null;
  readonly details: readonly string[];
}

function alternativesOf(error: APIError): string[] {
  const { alternatives } = (error.problem ?? {}) as { alternatives?: unknown };
  if (!Array.isArray(alternatives)) return [];
  return alternatives.flatMap((one) => (typeof one?.description === "string" ? [`instead: ${one.description}`] : []));
}

function failureOf(error: unknown): Failure {
  if (error instanceof APIError) {
    const fields = error.errors.map(({ pointer, message }) => `${pointer}: ${message}`);
    const ticket = error.status >= 500 && error.requestId !== null ? [`request ${error.requestId}`] : [];
    return {
      message: error.detail,
      nextAction: error.nextAction,
      details: [...fields, ...alternativesOf(error), ...ticket],
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { message, nextAction: error instanceof CliError ? error.nextAction : null, details: [] };
}

function report(terminal: Terminal, error: unknown, exitCode: number, isJson: boolean): void {
  const { message, nextAction, details } = failureOf(error);
  if (isJson) {
    const problem = error instanceof APIError ? error.problem : null;
    const code = error instanceof APIError ? error.code : undefined;
    terminal.err(
      `${JSON.stringify({ error: { message, code, next_action: nextAction, exit_code: exitCode, problem } })}\n`,
    );
    return;
  }
  const lines = [`volley: ${message}`, ...details, ...(nextAction === null ? [] : [nextAction])];
  terminal.err(`${lines.map(printable).join("\n  ")}\n`);
}

/** Runs one command; never throws. */
export async function runCli(terminal: Terminal, argv: readonly string[], version: string): Promise<number> {
  const end = argv.indexOf("--");
  const isJson = argv.slice(0, end === -1 ? argv.length : end).includes("--json");
  try {
    return await dispatch(terminal, argv, version);
  } catch (error) {
    if (terminal.signal.aborted) {
      terminal.err("volley: interrupted\n");
      return Number(terminal.signal.reason);
    }
    const exitCode = exitCodeOf(error);
    if (error instanceof CommandFailedError && !isJson) terminal.err(`${error.message}\n`);
    else report(terminal, error, exitCode, isJson);
    return exitCode;
  }
}
