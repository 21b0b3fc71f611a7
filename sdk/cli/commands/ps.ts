import { NotFoundError } from "../../errors.ts";
import type { Cluster } from "../../generated.ts";
import { hasEnded } from "../../stream-ends.ts";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { rowsText } from "../render.ts";
import type { KnownCluster } from "../store.ts";

const ACCOUNT_CLUSTERS_MAX = 1000;
const CALLS_AT_ONCE = 8;

/** Null when the API doesn't know it any more. */
async function look(cli: Cli, { id, secret }: KnownCluster): Promise<Cluster | null> {
  try {
    return (await cli.open(id, secret)).data;
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

async function lookAll(cli: Cli, known: readonly KnownCluster[]): Promise<Cluster[]> {
  const found: Cluster[] = [];
  for (let start = 0; start < known.length; start += CALLS_AT_ONCE) {
    const some = await Promise.all(known.slice(start, start + CALLS_AT_ONCE).map((entry) => look(cli, entry)));
    found.push(...some.filter((cluster) => cluster !== null));
  }
  return found;
}

async function ofAccount(cli: Cli): Promise<Cluster[]> {
  if (!cli.hasToken) return [];
  return cli.client().clusters.list({ limit: 100 }, { signal: cli.signal }).toArray({ limit: ACCOUNT_CLUSTERS_MAX });
}

export const psCommand: Command = {
  name: "ps",
  usage: "",
  summary: "Clusters rented from here, and those of the account",
  flags: [{ flag: "all", short: "a", kind: "boolean", about: "Also those that have ended." }],
  positionalsMax: 0,
  async run(cli, args) {
    const isAll = args.values.all === true;
    const owned = await ofAccount(cli);
    const ids = new Set(owned.map(({ id }) => id));
    const known = (await cli.known()).filter(({ id, hasEnded: isOver }) => !ids.has(id) && (isAll || !isOver));
    const clusters = [...owned, ...(await lookAll(cli, known))];
    for (const cluster of clusters) await cli.noteEnd(cluster);
    const data = clusters.filter((cluster) => isAll || !hasEnded(cluster));
    cli.answer({ data }, () =>
      data.length === 0 ? "No cluster is running." : rowsText(data as unknown as Record<string, unknown>[]),
    );
    return EXIT.ok;
  },
};
