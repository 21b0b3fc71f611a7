/** The API with real adapters and no task loop, so that only requests are measured. Started by the benches as a child. */
import { serve } from "@hono/node-server";
import { inProcessHints } from "../../api/adapters/in-process-hints.ts";
import { jsonLogger } from "../../api/adapters/json-logger.ts";
import { prometheusMetrics } from "../../api/adapters/prometheus-metrics.ts";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { systemClock } from "../../api/adapters/system-clock.ts";
import { newApp } from "../../api/app.ts";
import { rpcChainAt } from "../../api/chain/rpc.ts";
import type { Services } from "../../api/context.ts";
import { openDatabase } from "../../api/db/database.ts";
import { DOMAIN } from "../../api/domain.ts";
import { newMarket } from "../../api/market/market.ts";
import { readSettings } from "../../api/settings.ts";
import { agentSupplier } from "../../api/supply/agent-supplier.ts";

const settings = readSettings(process.env);
const logger = jsonLogger({ clock: systemClock, level: "error", write: (line) => process.stderr.write(`${line}\n`) });
const services: Services = {
  clock: systemClock,
  random: strongRandom(),
  db: openDatabase(process.env.DATABASE_URL ?? "", { connectionsMax: 16 }),
  chain: rpcChainAt(settings.solanaRpcUrls[0] ?? "", { clock: systemClock }),
  cards: null,
  screening: null,
  market: newMarket(),
  suppliers: { agent: agentSupplier() },
  settings,
  logger,
  metrics: prometheusMetrics(logger),
  hints: inProcessHints(systemClock),
};
await services.market.refresh(services);
// Counted from the start of the process.
const loadedMs = performance.now();
const app = newApp({
  services: () => services,
  callerAddress: () => "127.0.0.1",
  metrics: true,
  introspection: true,
  domain: DOMAIN,
});
const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => {
  process.send?.({ url: `http://127.0.0.1:${port}`, loadedMs, rssBytes: process.memoryUsage().rss });
});
process.once("disconnect", () => {
  server.close();
  process.exit(0);
});
