/** When a failed attempt is repeated, and after how long. */
const DELAY_MS_FIRST = 500;
const DELAY_MS_MAX = 8000;
/** The longest wait that a server may ask for; beyond it the caller decides. */
export const SERVER_DELAY_MS_MAX = 60_000;

/** `x-should-retry` is the server's own verdict and wins; a 409 passes only while the same request is running. */
export function isRetryable(status: number, headers: Headers, code: string): boolean {
  const verdict = headers.get("x-should-retry");
  if (verdict === "true") return true;
  if (verdict === "false") return false;
  if (status === 409) return code === "idempotency_in_progress";
  return status === 408 || status === 429 || status >= 500;
}

/** What `Retry-After` asks for (RFC 9110 section 10.2.3: seconds or a date), in milliseconds; null when it is absent. */
export function serverDelayMs(headers: Headers, nowMs: number): number | null {
  const text = headers.get("retry-after")?.trim();
  if (text === undefined || text === "") return null;
  const delayMs = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(delayMs) ? null : Math.max(0, delayMs);
}

/** Doubles with each attempt, less up to a quarter, so that clients that failed together don't return together. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  return Math.min(DELAY_MS_MAX, DELAY_MS_FIRST * 2 ** attempt) * (1 - random() / 4);
}
