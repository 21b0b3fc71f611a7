/** The engine as one bounded pass, for a cron trigger: works through what is due, then returns. */
import type { Services } from "../context.ts";
import { type EngineOptions, runTasks } from "./engine.ts";

export interface TickOptions extends EngineOptions {
  readonly batch?: number;
  /** No new batch begins after this long, and handlers at work are told to stop. */
  readonly deadlineMs: number;
}

/** @returns how many tasks were run */
export async function runTick(services: Services, options: TickOptions): Promise<number> {
  const { batch = 16, deadlineMs } = options;
  const endMs = services.clock.nowMs() + deadlineMs;
  const over = new AbortController();
  const timer = new AbortController();
  const timing = services.clock.sleep(deadlineMs, timer.signal).then(
    () => over.abort(new Error("the tick's time is over")),
    () => undefined,
  );
  let total = 0;
  try {
    while (services.clock.nowMs() < endMs) {
      const taken = await runTasks(services, { ...options, batch, signal: over.signal });
      total += taken;
      if (taken === 0) break;
    }
  } finally {
    timer.abort();
    await timing;
  }
  return total;
}
