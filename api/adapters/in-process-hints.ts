/** Wake-ups inside one process. */
import type { Hints } from "../context.ts";
import type { Clock } from "../ports/clock.ts";

export function inProcessHints(clock: Clock): Hints {
  const waiting = new Map<string, Set<() => void>>();
  return {
    notify(topic) {
      for (const wake of waiting.get(topic) ?? []) wake();
    },
    async wait(topic, ms, signal) {
      signal?.throwIfAborted();
      const done = new AbortController();
      const wake = () => done.abort();
      const waiters = waiting.get(topic) ?? new Set();
      waiting.set(topic, waiters.add(wake));
      signal?.addEventListener("abort", wake, { once: true });
      try {
        await clock.sleep(ms, done.signal);
      } catch (error) {
        if (!done.signal.aborted) throw error;
        signal?.throwIfAborted();
      } finally {
        signal?.removeEventListener("abort", wake);
        waiters.delete(wake);
        if (waiters.size === 0) waiting.delete(topic);
      }
    },
  };
}
