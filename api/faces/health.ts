/** Whether this process is alive, and whether it can serve. */
import { sql } from "drizzle-orm";
import type { Services } from "../context.ts";
import { type Answer, jsonAnswer } from "./answer.ts";
import type { Handle } from "./endpoint.ts";

const CHECK_TIMEOUT_MS = 3_000;
/** Probes come from several places at once; the database and the chain are asked once a second at most. */
const KEPT_MS = 1_000;

type Checks = Readonly<Record<"database" | "chain" | "market", boolean>>;

export const healthz: Handle = async () => jsonAnswer(200, { status: "ok" });

/** 200 when all that requests need answers, 503 with the parts that don't. */
export function readyz(): Handle {
  let kept: { readonly atMs: number; readonly answer: Promise<Answer> } | undefined;
  return ({ services }) => {
    const nowMs = services.clock.nowMs();
    if (kept === undefined || nowMs - kept.atMs >= KEPT_MS) kept = { atMs: nowMs, answer: readiness(services) };
    return kept.answer;
  };
}

async function readiness(services: Services): Promise<Answer> {
  const [database, chain] = await Promise.all([
    answers(services, "database", () => services.db.execute(sql`SELECT 1`)),
    answers(services, "chain", () => services.chain.slot("confirmed")),
  ]);
  const checks: Checks = { database, chain, market: services.market.isLoaded() };
  const ready = Object.values(checks).every(Boolean);
  return jsonAnswer(ready ? 200 : 503, { status: ready ? "ready" : "not_ready", checks });
}

async function answers(services: Services, part: string, ask: () => PromiseLike<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const late = services.clock.sleep(CHECK_TIMEOUT_MS, timer.signal).then(
    () => Promise.reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)),
    () => undefined,
  );
  try {
    await Promise.race([ask(), late]);
    return true;
  } catch (error) {
    services.logger.warn("a part is not ready", { part, error });
    return false;
  } finally {
    timer.abort();
  }
}
