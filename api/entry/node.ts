/** The API as a Node process in production: everything it needs comes from the environment. */
import { inProcessHints } from "../adapters/in-process-hints.ts";
import { jsonLogger } from "../adapters/json-logger.ts";
import { localScreening } from "../adapters/local-screening.ts";
import { prometheusMetrics } from "../adapters/prometheus-metrics.ts";
import { strongRandom } from "../adapters/strong-random.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { openChain } from "../chain/open-chain.ts";
import { openDatabase } from "../db/database.ts";
import { newMarket } from "../market/market.ts";
import { stripeCards } from "../payments/stripe/stripe-cards.ts";
import { readSettings, SettingsError } from "../settings.ts";
import { agentSupplier } from "../supply/agent-supplier.ts";
import { serve } from "./serve.ts";

const STATEMENT_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 20;

function required(name: string, example: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new SettingsError(`${name}: is not set. Example: ${example}`);
  return value;
}

async function main(): Promise<void> {
  const logger = jsonLogger({
    clock: systemClock,
    level: process.env.VOLLEY_LOG_LEVEL === "debug" ? "debug" : "info",
    write: (line) => process.stdout.write(`${line}\n`),
  });
  const settings = readSettings(process.env);
  const databaseUrl = required("DATABASE_URL", "postgres://user:password@host:5432/volley");
  const metrics = prometheusMetrics(logger);
  const services = {
    clock: systemClock,
    random: strongRandom(),
    db: openDatabase(databaseUrl, { connectionsMax: CONNECTIONS_MAX, statementTimeoutMs: STATEMENT_TIMEOUT_MS }),
    chain: openChain(settings, { clock: systemClock, logger, metrics }),
    cards: stripeCards(settings),
    screening: localScreening(settings.sanctionsList),
    market: newMarket(),
    suppliers: { agent: agentSupplier() },
    settings,
    logger,
    metrics,
    hints: inProcessHints(systemClock),
  };
  const server = await serve(services, {
    port: Number(process.env.PORT ?? 8787),
    host: process.env.HOST ?? "0.0.0.0",
  });
  const stop = async () => {
    await server.stop();
    await services.db.$client.end({ timeout: 5 });
    process.exit(0);
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof SettingsError ? error.message : error);
  process.exit(1);
}
