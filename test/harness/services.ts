/** Services over a database of the test's own, with a clock that the test moves. */
import { createHash } from "node:crypto";
import { inProcessHints } from "../../api/adapters/in-process-hints.ts";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { type Actor, type Context, type Services, systemContext } from "../../api/context.ts";
import { newMarket } from "../../api/market/market.ts";
import type { LogFields, Logger } from "../../api/ports/logger.ts";
import { readSettings, type Settings } from "../../api/settings.ts";
import type { TestDatabase } from "./database.ts";
import { ManualClock } from "./manual-clock.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export interface TestServices extends Services {
  readonly clock: ManualClock;
  /** What was logged at `warn` and above. */
  readonly log: LogLine[];
  /** How often each counter was counted. */
  readonly counts: Map<string, number>;
}

export const TEST_SETTINGS: Settings = readSettings({
  VOLLEY_QUOTE_KEYS: "A".repeat(43),
  VOLLEY_SECRET_KEY: "B".repeat(43),
  VOLLEY_RECEIPT_KEYS: "A".repeat(43),
  SOLANA_RPC_URL: "http://127.0.0.1:1",
  USDC_MINT: "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
  VOLLEY_TREASURY_ADDRESS: "7VHUFJHWu2CuExkJcJrzhQPJ2oygupTWkL2A2For4BmE",
});

/** A port that this test has no use for: a call that nobody meant fails loudly. */
function missing<Port extends object>(name: string): Port {
  return new Proxy({} as Port, {
    get: (_, member) => () => {
      throw new Error(`${name}.${String(member)} is not part of this test`);
    },
  });
}

export function testServices(database: TestDatabase, parts: Partial<Services> = {}): TestServices {
  const clock = new ManualClock();
  const log: LogLine[] = [];
  const counts = new Map<string, number>();
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (message, fields) => log.push({ level: "warn", message, fields }),
    error: (message, fields) => log.push({ level: "error", message, fields }),
    with: () => logger,
  };
  return {
    random: strongRandom(),
    db: database.db,
    chain: missing("chain"),
    cards: null,
    screening: null,
    market: newMarket(),
    suppliers: {},
    settings: TEST_SETTINGS,
    hints: inProcessHints(clock),
    ...parts,
    clock,
    logger,
    log,
    counts,
    metrics: {
      count: (name, _labels, by = 1) => counts.set(name, (counts.get(name) ?? 0) + by),
      gauge: () => undefined,
      observe: () => undefined,
      render: async () => "",
    },
  };
}

export function system(services: Services): Context {
  return systemContext(services, new AbortController().signal);
}

export function contextAs(services: Services, actor: Actor, parts: Partial<Context> = {}): Context {
  return { ...system(services), actor, callerHash: "caller", ...parts };
}

/** The context of whoever presents this secret. */
export function bearer(services: Services, secret: string, parts: Partial<Context> = {}): Context {
  const tokenHash = createHash("sha256").update(secret).digest("hex");
  return contextAs(services, { kind: "bearer", tokenHash }, parts);
}

/** Waits until the condition holds; time stands still for the services meanwhile. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 40_000): Promise<void> {
  for (const endMs = Date.now() + withinMs; Date.now() < endMs; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`it did not happen within ${withinMs} ms: ${what}`);
}
