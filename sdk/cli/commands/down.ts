import type { Cluster } from "../../generated.ts";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import { billText } from "../render.ts";

const CLUSTERS_MAX = 100;

async function endOne(cli: Cli, which: string | undefined): Promise<Cluster> {
  const cluster = await cli.cluster(which);
  const ended = await cluster.teardown({ signal: cli.signal });
  await cli.noteEnd(ended);
  return ended;
}

/** One that can't be ended must not keep the others running. */
async function endAll(cli: Cli, which: readonly (string | undefined)[]): Promise<Cluster[]> {
  const ended: Cluster[] = [];
  const failures: unknown[] = [];
  for (const one of which) {
    try {
      ended.push(await endOne(cli, one));
    } catch (error) {
      if (cli.signal.aborted) throw error;
      if (which.length > 1) cli.say(`${one}: ${error instanceof Error ? error.message : String(error)}`);
      failures.push(error);
    }
  }
  if (failures.length > 0 && ended.length === 0) throw failures[0];
  if (failures.length > 0)
    throw new CliError(EXIT.refused, `${failures.length} of ${which.length} could not be ended.`);
  return ended;
}

export const downCommand: Command = {
  name: "down",
  usage: "[<cluster>…]",
  summary: "Ends clusters: the meter stops at once, and what is left of the money goes back",
  flags: [{ flag: "all", short: "a", kind: "boolean", about: "All that were rented from here." }],
  positionalsMax: CLUSTERS_MAX,
  async run(cli, args) {
    const isAll = args.values.all === true;
    const alive = isAll ? (await cli.known()).filter(({ hasEnded }) => !hasEnded).map(({ id }) => id) : [];
    const named = args.positionals.length === 0 && !isAll ? [undefined] : args.positionals;
    const ended = await endAll(cli, [...new Set([...named, ...alive])]);
    cli.answer({ data: ended }, () => (ended.length === 0 ? "No cluster is running." : ended.map(billText).join("\n")));
    return EXIT.ok;
  },
};
