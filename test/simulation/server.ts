/** One incarnation of the real server inside a simulated process: everything it knows comes from the database. */
import { inProcessHints } from "../../api/adapters/in-process-hints.ts";
import { newApp } from "../../api/app.ts";
import type { Hints, Services } from "../../api/context.ts";
import { wake } from "../../api/db/database.ts";
import { DOMAIN } from "../../api/domain.ts";
import { TASK_HANDLERS } from "../../api/jobs/handlers.ts";
import { runTaskLoop } from "../../api/jobs/loop.ts";
import { ensureAudits } from "../../api/ledger/audit-continuously.ts";
import { newMarket } from "../../api/market/market.ts";
import { ensurePayouts } from "../../api/payments/payouts/pay-suppliers.ts";
import type { Logger } from "../../api/ports/logger.ts";
import type { Metrics } from "../../api/ports/metrics.ts";
import type { SponsorSigner } from "../../api/ports/sponsor-signer.ts";
import type { Supplier } from "../../api/ports/supplier.ts";
import type { TreasurySigner } from "../../api/ports/treasury-signer.ts";
import type { Settings } from "../../api/settings.ts";
import { agentSupplier } from "../../api/supply/agent-supplier.ts";
import type { TreasurySettings } from "../../api/treasury/treasury-settings.ts";
import type { SimulatedCards } from "./cards.ts";
import type { SimulatedChain } from "./chain.ts";
import type { ApiRequest, ApiResponse } from "./client.ts";
import type { SimulatedDatabase } from "./database.ts";
import type { Faults } from "./faults.ts";
import type { SimulatedProcess } from "./process.ts";

const REFRESH_FAILURE_PAUSE_MS = 2_000;
const ORIGIN = "http://volley.simulated";

/** What lies outside of every process. */
export interface Outside {
  readonly database: SimulatedDatabase;
  readonly chain: SimulatedChain;
  readonly supplier: Supplier;
  readonly cards: SimulatedCards;
  readonly signer: TreasurySigner;
  readonly sponsor: SponsorSigner;
  readonly settings: Settings;
  /** Of the treasury's process. */
  readonly treasurySettings: TreasurySettings;
  /** How often a process looks for due tasks when nothing hints at one. */
  readonly taskPollMs: () => number;
  /** Whether the books are audited, and days of receipts anchored. */
  readonly isAudited: boolean;
  readonly faults: () => Faults;
  readonly onLog: (level: "warn" | "error", message: string, fields: unknown) => void;
}

export const NO_METRICS: Metrics = {
  count: () => undefined,
  gauge: () => undefined,
  observe: () => undefined,
  render: async () => "",
};

export class Server {
  readonly process: SimulatedProcess;
  readonly #services: Services;
  readonly #app: ReturnType<typeof newApp>;
  readonly #isAudited: boolean;
  #isListening = false;

  constructor(process: SimulatedProcess, outside: Outside) {
    this.process = process;
    this.#services = servicesFor(process, outside);
    this.#isAudited = outside.isAudited;
    this.#app = newApp({
      services: () => this.#services,
      callerAddress: (_request, env) => (env as { address: string }).address,
      domain: DOMAIN,
      metrics: false,
    });
  }

  get isListening(): boolean {
    return this.#isListening && this.process.isAlive;
  }

  /** Starts as the production process does. Never settles when the process is killed; rejects when it can't start. */
  async run(): Promise<void> {
    const services = this.#services;
    const nowMs = services.clock.nowMs();
    await wake(services.db, "treasury", "usdc", nowMs);
    await wake(services.db, "nodes", "all", nowMs);
    if (this.#isAudited) await ensureAudits(services.db, nowMs);
    await ensurePayouts(services.db, nowMs);
    await services.market.refresh(services);
    this.#isListening = true;
    const never = new AbortController().signal;
    const owner = this.process.name;
    await Promise.all([runTaskLoop(services, { owner, handlers: TASK_HANDLERS }, never), keepFresh(services)]);
  }

  /** Answers as the process would over HTTP; rejects when it dies before the answer is out. */
  async handle(request: ApiRequest, address: string): Promise<ApiResponse> {
    const headers = new Headers(request.headers);
    if (request.body !== undefined) headers.set("content-type", "application/json");
    if (request.secret !== undefined) headers.set("authorization", `Bearer ${request.secret}`);
    if (request.idempotencyKey !== undefined) headers.set("idempotency-key", request.idempotencyKey);
    const sent = new Request(ORIGIN + request.path, {
      method: request.method,
      headers,
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
    return await new Promise((resolve, reject) => {
      const { ended } = this.process;
      if (ended.aborted) return reject(ended.reason);
      ended.addEventListener("abort", () => reject(ended.reason), { once: true });
      this.process.whenAwake(() => {
        this.#answer(sent, address).then(resolve, reject);
      });
    });
  }

  async #answer(request: Request, address: string): Promise<ApiResponse> {
    const response = await this.#app.fetch(request, { address });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }
}

function servicesFor(process: SimulatedProcess, outside: Outside): Services {
  const { clock, random } = process;
  return {
    clock,
    random,
    db: outside.database.openFor(process, outside.faults),
    chain: outside.chain.openFor(process, outside.faults),
    cards: outside.cards.openFor(process),
    screening: null,
    market: newMarket(),
    suppliers: { simulated: supplierFor(process, outside), agent: agentSupplier() },
    settings: outside.settings,
    logger: loggerFor(process, outside.onLog),
    metrics: NO_METRICS,
    hints: hintsFor(process, outside),
  };
}

/** Loops wait for a hint, or for as long as the world says. */
export function hintsFor({ clock }: SimulatedProcess, { taskPollMs }: Outside): Hints {
  const hints = inProcessHints(clock);
  return { ...hints, wait: (topic, ms, signal) => hints.wait(topic, topic === "tasks" ? taskPollMs() : ms, signal) };
}

function supplierFor(process: SimulatedProcess, { supplier, faults }: Outside): Supplier {
  const call = <Result>(label: string, effect: () => Promise<Result>) =>
    process.call(`supplier ${label}`, effect, {
      rates: { lostRequest: faults().supplierLostRequest, lostResponse: faults().supplierLostResponse },
      lost: () => new Error("the supplier does not answer"),
      noticedAfterMs: 5_000,
    });
  return {
    launch: (gang) => call("launch", () => supplier.launch(gang)),
    observe: (leases) => call("observe", () => supplier.observe(leases)),
    terminate: (leases) => call("terminate", () => supplier.terminate(leases)),
  };
}

export function loggerFor(process: SimulatedProcess, onLog: Outside["onLog"]): Logger {
  const log = (level: "warn" | "error") => (message: string, fields: unknown) => {
    if (process.isAlive) onLog(level, message, fields);
  };
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: log("warn"),
    error: log("error"),
    with: () => logger,
  };
  return logger;
}

async function keepFresh(services: Services): Promise<never> {
  for (;;) {
    try {
      await services.clock.sleep(services.settings.marketRefreshMs);
      await services.market.refresh(services);
    } catch (error) {
      services.logger.warn("the market could not be refreshed", { error });
      await services.clock.sleep(REFRESH_FAILURE_PAUSE_MS);
    }
  }
}
