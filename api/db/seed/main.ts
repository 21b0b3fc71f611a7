/** `npm run seed -- --nodes 190000 [--seed 42]`: fills the database with a made-up network of simulated machines. */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { z } from "zod";
import { systemClock } from "../../adapters/system-clock.ts";
import { migrateDatabase } from "../migrate.ts";
import { insertNetwork, NetworkExistsError } from "./insert-network.ts";

const USAGE = "npm run seed -- --nodes 190000 [--seed 42] [--data-dir .volley]";
const NODES_MAX = 1_000_000;
const SEED_MAX = 2 ** 32 - 1;

class UsageError extends Error {}

function whole(name: string, text: string, max: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new UsageError(`--${name} must be a whole number up to ${max}, not "${text}". ${USAGE}`);
}

/** DATABASE_URL, or else the database of the all-in-one that runs on this machine. */
async function databaseUrl(dataFolder: string): Promise<string> {
  const { DATABASE_URL: url } = process.env;
  if (url !== undefined && url !== "") return url;
  const file = `${dataFolder}/local.json`;
  const advice = `Start Volley first (npm start), or set DATABASE_URL to a URL such as postgres://user:password@host:5432/volley.`;
  const text = await readFile(file, "utf8").catch((cause) => {
    throw new UsageError(`There is no database: DATABASE_URL is not set and ${file} can't be read. ${advice}`, {
      cause,
    });
  });
  const parsed = z.object({ database_url: z.string().min(1) }).safeParse(JSON.parse(text));
  if (!parsed.success) throw new UsageError(`${file} has no database_url. ${advice}`);
  return parsed.data.database_url;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: "string", default: "190000" },
      seed: { type: "string", default: "42" },
      "data-dir": { type: "string", default: ".volley" },
    },
  });
  const options = { nodes: whole("nodes", values.nodes, NODES_MAX), seed: whole("seed", values.seed, SEED_MAX) };
  const url = await databaseUrl(values["data-dir"]);
  const startedMs = systemClock.nowMs();
  await migrateDatabase(url);
  const { gpus, suppliers } = await insertNetwork(url, options, startedMs);
  const seconds = ((systemClock.nowMs() - startedMs) / 1000).toFixed(1);
  console.log(
    `${options.nodes} machines with ${gpus} GPUs of ${suppliers} suppliers, in ${seconds} s (seed ${options.seed}).`,
  );
}

main().catch((error: unknown) => {
  const isExpected =
    error instanceof UsageError ||
    error instanceof NetworkExistsError ||
    (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"));
  console.error(isExpected ? error.message : error);
  process.exitCode = 1;
});
