/**
 * The treasury: the only process with a key that spends. Nothing connects to it; it finds its work in the database, as
 * tasks, and decides for itself what it signs. Several may run at once.
 */
import { z } from "zod";
import { httpFacilitator } from "../adapters/http-facilitator.ts";
import { inProcessHints } from "../adapters/in-process-hints.ts";
import { jsonLogger } from "../adapters/json-logger.ts";
import { localScreening } from "../adapters/local-screening.ts";
import { noMetrics } from "../adapters/no-metrics.ts";
import { strongRandom } from "../adapters/strong-random.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { openChain } from "../chain/open-chain.ts";
import { openDatabase } from "../db/database.ts";
import { runTaskLoop } from "../jobs/loop.ts";
import { SettingsError } from "../settings.ts";
import { ensureAnchors } from "../treasury/anchor/anchor-receipts.ts";
import { TREASURY_HANDLERS } from "../treasury/handlers.ts";
import { sponsorSignerFromFile } from "../treasury/sponsor/sponsor-signer-file.ts";
import type { TreasuryServices } from "../treasury/treasury-context.ts";
import { readTreasuryConfiguration } from "../treasury/treasury-settings.ts";
import { treasurySignerFromFile } from "../treasury/treasury-signer-file.ts";

const logLevel = z.enum(["debug", "info", "warn"]);
const STATEMENT_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 4;

async function main(): Promise<void> {
  const clock = systemClock;
  const logger = jsonLogger({
    clock,
    level: logLevel.catch("info").parse(process.env.VOLLEY_LOG_LEVEL),
    write: (line) => process.stdout.write(`${line}\n`),
  });
  const stopping = new AbortController();
  const stop = () => stopping.abort(new Error("the treasury is stopping"));
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  // Whoever started it with a channel is gone.
  process.once("disconnect", stop);

  const { keypairFile, sponsorKeypairFile, facilitator, settings: configured } = readTreasuryConfiguration(process.env);
  const databaseUrl = process.env.DATABASE_URL;
  if (!databaseUrl) {
    throw new SettingsError("DATABASE_URL: is not set. Example: postgres://user:password@host:5432/volley");
  }
  const signer = await treasurySignerFromFile(keypairFile, configured);
  const named = process.env.VOLLEY_TREASURY_ADDRESS;
  if (named && named !== signer.address) {
    throw new SettingsError(`VOLLEY_TREASURY_ADDRESS: is ${named}, but the key file is that of ${signer.address}`);
  }
  const sponsor = sponsorKeypairFile === null ? null : await sponsorSignerFromFile(sponsorKeypairFile, configured);
  const services: TreasuryServices = {
    clock,
    random: strongRandom(),
    db: openDatabase(databaseUrl, { connectionsMax: CONNECTIONS_MAX, statementTimeoutMs: STATEMENT_TIMEOUT_MS }),
    chain: openChain(configured, { clock, logger, metrics: noMetrics }),
    screening: localScreening(configured.sanctionsList),
    signer,
    sponsor,
    facilitator: facilitator === null ? null : httpFacilitator(facilitator.url, facilitator.token),
    settings: { ...configured, treasuryAddress: signer.address },
    logger,
    metrics: noMetrics,
    hints: inProcessHints(clock),
  };
  if (configured.anchors) await ensureAnchors(services.db, clock.nowMs());
  logger.info("the treasury is at work", { address: signer.address });
  await runTaskLoop(services, { owner: `treasury-${process.pid}`, handlers: TREASURY_HANDLERS }, stopping.signal);
  await services.db.$client.end({ timeout: 5 });
  logger.info("stopped");
  process.exit(0);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof SettingsError ? error.message : error);
  process.exit(1);
}
