/** The server as a long-lived process: HTTP, the task loop and the market's refresh, started and stopped together. */
import type { AddressInfo } from "node:net";
import { type HttpBindings, serve as listen, type ServerType } from "@hono/node-server";
import { newApp } from "../app.ts";
import type { Services } from "../context.ts";
import { wake } from "../db/database.ts";
import { DOMAIN } from "../domain.ts";
import { TASK_HANDLERS } from "../jobs/handlers.ts";
import { runTaskLoop } from "../jobs/loop.ts";
import { ensureAudits } from "../ledger/audit-continuously.ts";
import { ensurePayouts } from "../payments/payouts/pay-suppliers.ts";

/** Requests that still run when the server stops get this long; streams end at once. */
const DRAIN_MS = 5_000;
/** `quotes.get` has a whole quote token in its path, which is longer than what Node accepts by default. */
const HEADER_BYTES_MAX = 131_072;
const REFRESH_FAILURE_PAUSE_MS = 1_000;

export interface RunningServer {
  readonly url: string;
  /** Stops accepting, finishes or hands back what it holds. */
  stop(): Promise<void>;
}

async function refreshMarket(services: Services, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await services.market.refresh(services);
      await services.clock.sleep(services.settings.marketRefreshMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      services.logger.warn("the market could not be refreshed", { error });
      await services.clock.sleep(REFRESH_FAILURE_PAUSE_MS, signal).catch(() => undefined);
    }
  }
}

function callerAddress(_request: Request, env: unknown): string {
  return (env as HttpBindings).incoming.socket.remoteAddress ?? "unknown";
}

function closed(server: ServerType): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

export interface ServeOptions {
  readonly port: number;
  readonly host: string;
  /** Clients reach it where it listens, on whichever port that is. */
  readonly ownUrlIsPublic?: boolean;
  /** Refuses a request by what it says of where it comes from; null lets it pass. */
  readonly refuse?: (request: Request) => Response | null;
}

export async function serve(given: Services, options: ServeOptions): Promise<RunningServer> {
  let services = given;
  const { clock, db, logger } = services;
  const stopping = new AbortController();
  const now = clock.nowMs();
  await wake(db, "treasury", "usdc", now);
  await wake(db, "nodes", "all", now);
  await wake(db, "keys", "idempotency", now);
  await ensureAudits(db, now);
  await ensurePayouts(db, now);
  await services.market.refresh(services);

  const app = newApp({ services: () => services, domain: DOMAIN, metrics: true, introspection: true, callerAddress });
  const { refuse } = options;
  const fetch: typeof app.fetch =
    refuse === undefined ? app.fetch : (request, env) => refuse(request) ?? app.fetch(request, env);
  const server = listen({
    fetch,
    port: options.port,
    hostname: options.host,
    serverOptions: { maxHeaderSize: HEADER_BYTES_MAX },
  });
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve);
    server.once("error", reject);
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://${options.host}:${port}`;
  if (options.ownUrlIsPublic) services = { ...given, settings: { ...given.settings, publicUrl: url } };
  const loops = Promise.all([
    runTaskLoop(services, { owner: `node-${process.pid}`, handlers: TASK_HANDLERS }, stopping.signal),
    refreshMarket(services, stopping.signal),
  ]);
  logger.info("listening", { host: options.host, port });

  return {
    url,
    async stop() {
      stopping.abort(new Error("the server is stopping"));
      const done = closed(server);
      if ("closeIdleConnections" in server) server.closeIdleConnections();
      const drained = new AbortController();
      await Promise.race([done, clock.sleep(DRAIN_MS, drained.signal).catch(() => undefined)]);
      drained.abort();
      if ("closeAllConnections" in server) server.closeAllConnections();
      await Promise.all([done, loops]);
      logger.info("stopped");
    },
  };
}
