/**
 * The API at the edge, as a Cloudflare Worker: Postgres through Hyperdrive, tasks by a cron trigger.
 * Nothing here may hold on to a connection between requests; what is kept is only what was read from one.
 */
import { inProcessHints } from "../adapters/in-process-hints.ts";
import { jsonLogger } from "../adapters/json-logger.ts";
import { localScreening } from "../adapters/local-screening.ts";
import { noMetrics } from "../adapters/no-metrics.ts";
import { strongRandom } from "../adapters/strong-random.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { newApp } from "../app.ts";
import { openChain } from "../chain/open-chain.ts";
import type { Services } from "../context.ts";
import { openDatabase, wake } from "../db/database.ts";
import { DOMAIN } from "../domain.ts";
import { TASK_HANDLERS } from "../jobs/handlers.ts";
import { runTick } from "../jobs/tick.ts";
import { ensureAudits } from "../ledger/audit-continuously.ts";
import { newMarket } from "../market/market.ts";
import { ensurePayouts } from "../payments/payouts/pay-suppliers.ts";
import { stripeCards } from "../payments/stripe/stripe-cards.ts";
import type { AddressScreening } from "../ports/address-screening.ts";
import type { CardProcessor } from "../ports/card-processor.ts";
import type { Chain } from "../ports/chain.ts";
import { readSettings, type Settings } from "../settings.ts";
import { agentSupplier } from "../supply/agent-supplier.ts";

/** What wrangler.toml binds, besides the settings as variables and secrets. */
interface Bindings extends Readonly<Record<string, unknown>> {
  readonly HYPERDRIVE: { readonly connectionString: string };
}

/** Made once per isolate; the chain remembers here how its nodes fare. */
interface Configured {
  readonly settings: Settings;
  readonly chain: Chain;
  readonly cards: CardProcessor | null;
  readonly screening: AddressScreening | null;
}

interface ExecutionContext {
  waitUntil(promise: Promise<unknown>): void;
}

/** Workers open at most six connections at once; one stays free for the chain. */
const CONNECTIONS_MAX = 5;
const STATEMENT_TIMEOUT_MS = 30_000;
/** A trigger comes each minute; until the next one is due, this one goes on. */
const SCHEDULED_MS = 55_000;

const clock = systemClock;
const random = strongRandom();
const hints = inProcessHints(clock);
const logger = jsonLogger({ clock, level: "info", write: (line) => console.log(line) });
/** The network, read once per isolate and refreshed by the requests that find it old. */
const market = newMarket();
const configuredByBindings = new WeakMap<Bindings, Configured>();

const app = newApp({
  services: (env) => (env as { readonly services: Services }).services,
  callerAddress: (request) => request.headers.get("cf-connecting-ip") ?? "unknown",
  domain: DOMAIN,
  metrics: false,
  introspection: true,
});

function configure(bindings: Bindings): Configured {
  const known = configuredByBindings.get(bindings);
  if (known !== undefined) return known;
  const texts = Object.entries(bindings).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  const settings = readSettings(Object.fromEntries(texts));
  const configured = {
    settings,
    chain: openChain(settings, { clock, logger, metrics: noMetrics }),
    cards: stripeCards(settings),
    screening: localScreening(settings.sanctionsList),
  };
  configuredByBindings.set(bindings, configured);
  return configured;
}

function openServices(bindings: Bindings): Services {
  const { settings, chain, cards, screening } = configure(bindings);
  return {
    clock,
    random,
    db: openDatabase(bindings.HYPERDRIVE.connectionString, {
      connectionsMax: CONNECTIONS_MAX,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    }),
    chain,
    cards,
    screening,
    market,
    suppliers: { agent: agentSupplier() },
    settings,
    logger,
    metrics: noMetrics,
    hints,
  };
}

const close = (services: Services) => services.db.$client.end({ timeout: 5 });

/** A stream reads from the database until it ends, so its connections are closed then. */
function closeAfter(response: Response, services: Services, execution: ExecutionContext): Response {
  if (response.body === null || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
    execution.waitUntil(close(services));
    return response;
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const sent = response.body.pipeTo(writable).catch(() => undefined);
  execution.waitUntil(sent.then(() => close(services)));
  return new Response(readable, response);
}

export default {
  async fetch(request: Request, bindings: Bindings, execution: ExecutionContext): Promise<Response> {
    const services = openServices(bindings);
    const response = await app.fetch(request, { services });
    return closeAfter(response, services, execution);
  },

  async scheduled(_event: unknown, bindings: Bindings): Promise<void> {
    const services = openServices(bindings);
    const startedMs = clock.nowMs();
    try {
      await wake(services.db, "treasury", "usdc", startedMs);
      await wake(services.db, "nodes", "all", startedMs);
      await wake(services.db, "keys", "idempotency", startedMs);
      await ensureAudits(services.db, startedMs);
      await ensurePayouts(services.db, startedMs);
      const options = { owner: "worker", handlers: TASK_HANDLERS, deadlineMs: SCHEDULED_MS };
      await runTick(services, options, new AbortController().signal);
    } finally {
      await close(services);
    }
  },
};
