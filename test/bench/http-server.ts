/**
 * What the HTTP bench talks to, one per process: the API over the full network in memory, or bare node:http that
 * answers bytes which it is given. `node http-server.ts volley | floor`.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
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
import { seedNodes } from "../../api/db/seed/network.ts";
import { DOMAIN } from "../../api/domain.ts";
import { NetworkIndex } from "../../api/market/index/network-index.ts";
import { readSettings } from "../../api/settings.ts";

const NODES = 190_000;
const KEY = "k".repeat(43);
const ADDRESS = "11111111111111111111111111111111";

function startVolley(): void {
  const index = new NetworkIndex();
  index.load(seedNodes({ nodes: NODES, seed: 42 }));
  const logger = jsonLogger({ clock: systemClock, level: "error", write: (line) => process.stderr.write(`${line}\n`) });
  const services: Services = {
    clock: systemClock,
    random: strongRandom(),
    // Quoting asks no database; this one would refuse.
    db: openDatabase("postgres://127.0.0.1:1/none", { connectionsMax: 1 }),
    chain: rpcChainAt("http://127.0.0.1:1", { clock: systemClock }),
    cards: null,
    screening: null,
    market: {
      isLoaded: () => true,
      network: () => Promise.resolve(index),
      refresh: () => Promise.resolve(),
      take: () => undefined,
    },
    suppliers: {},
    settings: readSettings({
      VOLLEY_QUOTE_KEYS: KEY,
      VOLLEY_SECRET_KEY: KEY,
      VOLLEY_TREASURY_ADDRESS: ADDRESS,
      VOLLEY_RATE_LIMIT_PER_MINUTE: "100000000",
      SOLANA_RPC_URL: "http://127.0.0.1:1",
      USDC_MINT: ADDRESS,
    }),
    logger,
    metrics: prometheusMetrics(logger),
    hints: inProcessHints(systemClock),
  };
  const app = newApp({
    services: () => services,
    callerAddress: () => "127.0.0.1",
    metrics: true,
    introspection: true,
    domain: DOMAIN,
  });
  serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => tell(port));
}

/** The floor: the body is read and left alone, the bytes are always the same. */
function startFloor(): void {
  let bytes = Buffer.from("{}");
  process.on("message", (text: string) => {
    bytes = Buffer.from(text);
    process.send?.({ ready: true });
  });
  const server = createServer((request, response) => {
    request.resume();
    request.once("end", () => {
      response.writeHead(201, { "content-type": "application/json", "content-length": bytes.length });
      response.end(bytes);
    });
  });
  server.listen(0, "127.0.0.1", () => tell((server.address() as AddressInfo).port));
}

function tell(port: number): void {
  process.send?.({ url: `http://127.0.0.1:${port}` });
}

process.once("disconnect", () => process.exit(0));
if (process.argv[2] === "floor") startFloor();
else startVolley();
