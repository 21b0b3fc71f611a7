import type { Clock } from "../ports.ts";

/** Waits for `work`, but no longer than `timeoutMs`; answers whether it was in time. */
export async function within(clock: Clock, timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([work.then(() => true), clock.sleep(timeoutMs, timer.signal).then(() => false)]);
  } finally {
    timer.abort();
  }
}
