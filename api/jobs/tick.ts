/** The engine for a cron trigger: the loop, for a while. */
import type { Services } from "../context.ts";
import { type LoopOptions, runTaskLoop } from "./loop.ts";

export interface TickOptions extends LoopOptions {
  /** When to stop taking tasks; a little less than the time between two triggers, so that there is no gap. */
  readonly deadlineMs: number;
}

/** Runs due tasks until the deadline or the signal. */
export async function runTick(services: Services, options: TickOptions, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const timer = new AbortController();
  const timing = services.clock.sleep(options.deadlineMs, timer.signal).then(
    () => over.abort(new Error("the tick's time is over")),
    () => undefined,
  );
  await runTaskLoop(services, options, AbortSignal.any([signal, over.signal]));
  timer.abort();
  await timing;
}
