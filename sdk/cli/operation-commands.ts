/** One command per operation of the contract, all by the same mechanism. */
import { toSnakeCaseKeys } from "@volley/schema/casing";
import type { Volley } from "../client.ts";
import type { EventStream } from "../event-stream.ts";
import { type Cluster, METHODS } from "../generated.ts";
import type { Page, PagePromise } from "../page.ts";
import type { RequestOptions } from "../request-options.ts";
import type { Cli } from "./cli.ts";
import type { Command } from "./command.ts";
import { CliError, EXIT } from "./exit-codes.ts";
import { type Args, type Flag, type OperationLine, paramsOf, textOf } from "./flags.ts";
import { OPERATIONS } from "./generated.ts";
import { resourceText, rowsText } from "./render.ts";

const ROWS_MAX = 10_000;

const CREDENTIAL_FLAG: Flag = {
  flag: "cluster",
  kind: "text",
  about: "Id of a cluster rented from here whose secret opens it, where the arguments don't say so.",
};
const KEY_FLAG: Flag = {
  flag: "idempotency-key",
  kind: "text",
  about: "The same key with the same flags is the same call, however often it is made.",
};
const ALL_FLAG: Flag = { flag: "all", kind: "boolean", about: `All pages, up to ${ROWS_MAX} rows.` };

type Row = Readonly<Record<string, unknown>>;
type Method = (...args: unknown[]) => unknown;

/** Reserving stays the bare operation here: the answer is what is printed. */
function methodOf(volley: Volley, { operation }: OperationLine): Method {
  const [resource = "", verb = ""] = operation.split(".");
  const resources = volley.resources as unknown as Record<string, Record<string, Method>>;
  const method = resources[resource]?.[verb];
  if (method === undefined) throw new CliError(EXIT.internal, `The client has no ${operation}.`);
  return method;
}

async function printPage(cli: Cli, pages: PagePromise<Row>, isAll: boolean): Promise<void> {
  const page: Page<Row> = await pages;
  const data = isAll ? await page.toArray({ limit: ROWS_MAX }) : page.data;
  const nextCursor = isAll ? null : page.nextCursor;
  cli.answer({ data, nextCursor }, () => {
    const more = nextCursor === null ? [] : [`More: --cursor ${nextCursor}, or --all.`];
    return [rowsText(data), ...more].join("\n");
  });
}

async function printStream(cli: Cli, stream: EventStream<unknown>): Promise<void> {
  for await (const event of stream) cli.terminal.out(`${JSON.stringify(toSnakeCaseKeys(event))}\n`);
}

/** A secret is shown once, so it is kept wherever it turns up. */
async function keepSecret(cli: Cli, answer: unknown): Promise<void> {
  const cluster = answer as Partial<Cluster> | null;
  if (cluster?.object === "cluster" && typeof cluster.secret === "string") await cli.remember(cluster as Cluster);
}

function pathOf(line: OperationLine, args: Args): string[] {
  return line.path.map((name, index) => {
    const value = args.positionals[index];
    if (value === undefined)
      throw new CliError(EXIT.usage, `<${name}> is missing.`, `See \`volley help ${nameOf(line)}\`.`);
    return value;
  });
}

async function call(cli: Cli, line: OperationLine, args: Args): Promise<number> {
  const path = pathOf(line, args);
  const params = paramsOf(line.fields, args);
  const secret = await cli.secretFor([textOf(args, "cluster"), ...path, ...Object.values(params)]);
  const method = METHODS[line.operation];
  // What changes something is not given up half-way: its answer may be the only trace of what was done.
  const isChange = method.method !== "GET" && method.result !== "stream";
  const options: RequestOptions = {
    signal: isChange ? undefined : cli.signal,
    secret,
    idempotencyKey: textOf(args, "idempotency-key"),
  };
  const rest = method.hasParams ? [params, options] : [options];
  const answer = methodOf(cli.client(), line)(...path, ...rest);
  if (method.result === "page") {
    await printPage(cli, answer as PagePromise<Row>, args.values.all === true);
  } else if (method.result === "stream") {
    await printStream(cli, answer as EventStream<unknown>);
  } else {
    const data = await (answer as Promise<unknown>);
    await keepSecret(cli, data);
    cli.answer(data, () => resourceText(data));
  }
  return EXIT.ok;
}

function nameOf({ operation }: OperationLine): string {
  return operation.replace(".", " ").replaceAll("_", "-");
}

function commandFor(line: OperationLine): Command {
  const method = METHODS[line.operation];
  const words = line.fields.some(({ kind }) => kind === "words") ? ["-- <command>"] : [];
  return {
    name: nameOf(line),
    usage: [...line.path.map((name) => `<${name}>`), ...words].join(" "),
    summary: line.summary,
    flags: [
      ...line.fields.filter(({ kind }) => kind !== "words"),
      ...(line.fields.some(({ flag }) => flag === CREDENTIAL_FLAG.flag) ? [] : [CREDENTIAL_FLAG]),
      ...(method.result === "page" ? [ALL_FLAG] : []),
      ...(method.method === "GET" ? [] : [KEY_FLAG]),
    ],
    positionalsMax: line.path.length,
    run: (cli, args) => call(cli, line, args),
  };
}

/** A resource by itself is its list, or the one thing there is to get: `volley gpus`, `volley balance`. */
function shortFormOf(resource: string, lines: readonly OperationLine[]): Command | null {
  const line = ["list", "get"]
    .map((verb) => lines.find(({ operation, path }) => operation === `${resource}.${verb}` && path.length === 0))
    .find((found) => found !== undefined);
  return line === undefined ? null : { ...commandFor(line), name: resource.replaceAll("_", "-") };
}

export const OPERATION_COMMANDS: readonly Command[] = OPERATIONS.map(commandFor);

export const SHORT_FORMS: readonly Command[] = [
  ...new Set(OPERATIONS.map(({ operation }) => operation.split(".")[0] ?? "")),
]
  .map((resource) => shortFormOf(resource, OPERATIONS))
  .filter((command) => command !== null);
