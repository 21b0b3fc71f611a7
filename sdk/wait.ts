import { AbortedError, WaitTimeoutError } from "./errors.ts";

/**
 * Waits; a signal that fires ends it at once.
 * @throws {AbortedError}
 */
export function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AbortedError(signal));
    const onAbort = () => {
      clearTimeout(timer);
      if (signal) reject(new AbortedError(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

const POLL_MS_FIRST = 250;
const POLL_MS_MAX = 2000;

/**
 * Asks again and again, often at first and then every two seconds, until there is an answer.
 * @throws {WaitTimeoutError} when the time is over; the last probe is made at the very end
 */
export async function poll<T>(
  probe: () => Promise<T | undefined>,
  options: { timeoutMs: number; what: string; signal: AbortSignal | undefined },
): Promise<T> {
  const startMs = performance.now();
  for (;;) {
    const answer = await probe();
    if (answer !== undefined) return answer;
    const elapsedMs = performance.now() - startMs;
    const leftMs = options.timeoutMs - elapsedMs;
    if (leftMs <= 0) throw new WaitTimeoutError(`${options.what} took longer than ${options.timeoutMs / 1000} s.`);
    await pause(Math.min(leftMs, Math.max(POLL_MS_FIRST, Math.min(POLL_MS_MAX, elapsedMs / 20))), options.signal);
  }
}
