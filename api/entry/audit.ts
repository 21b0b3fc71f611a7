/** `npm run audit`: checks the invariants of ledger, capacity, leases and chain; prints them as JSON. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { noMetrics } from "../adapters/no-metrics.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { poolAt } from "../chain/pool.ts";
import { openDatabase } from "../db/database.ts";
import { auditCapacity } from "../ledger/audit-capacity.ts";
import { auditChain } from "../ledger/audit-chain.ts";
import { auditLedger } from "../ledger/audit-ledger.ts";

const HELP = `Checks the invariants of ledger, capacity, leases and chain, and prints them as JSON.
Exits with 0 when all hold, 1 when one does not, 2 when they could not be checked.

  npm run audit -- [--data-dir .volley]

Reads <data-dir>/local.json, which \`npm start\` writes while it runs, or, when DATABASE_URL is set,
DATABASE_URL, SOLANA_RPC_URL, USDC_MINT and VOLLEY_TREASURY_ADDRESS.`;

const CONNECTIONS_MAX = 2;
const STATEMENT_TIMEOUT_MS = 300_000;
const AUDIT_TIMEOUT_MS = 600_000;

const local = z.object({
  database_url: z.string(),
  rpc_url: z.string(),
  usdc_mint: z.string(),
  treasury_address: z.string(),
});

class UsageError extends Error {
  override readonly name = "UsageError";
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new UsageError(`${name} is not set; with DATABASE_URL it must be.`);
  return value;
}

async function readTarget(dataFolder: string): Promise<z.output<typeof local>> {
  if (process.env.DATABASE_URL) {
    return {
      database_url: process.env.DATABASE_URL,
      rpc_url: fromEnvironment("SOLANA_RPC_URL"),
      usdc_mint: fromEnvironment("USDC_MINT"),
      treasury_address: fromEnvironment("VOLLEY_TREASURY_ADDRESS"),
    };
  }
  const file = join(dataFolder, "local.json");
  try {
    return local.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (cause) {
    throw new UsageError(`${file} could not be read. Is \`npm start\` running with this data folder?`, { cause });
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { "data-dir": { type: "string", default: ".volley" }, help: { type: "boolean", default: false } },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const target = await readTarget(values["data-dir"]);
  const db = openDatabase(target.database_url, {
    connectionsMax: CONNECTIONS_MAX,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  try {
    const ctx = {
      db,
      clock: systemClock,
      chain: poolAt(target.rpc_url.split(","), { clock: systemClock, metrics: noMetrics }),
      settings: { treasuryAddress: target.treasury_address, usdcMint: target.usdc_mint },
      signal: AbortSignal.timeout(AUDIT_TIMEOUT_MS),
    };
    const results = [...(await auditLedger(ctx)), ...(await auditCapacity(ctx)), ...(await auditChain(ctx))];
    const holds = results.every((result) => result.holds);
    console.log(JSON.stringify({ holds, results }, null, 2));
    return holds ? 0 : 1;
  } finally {
    await db.$client.end({ timeout: 5 });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
