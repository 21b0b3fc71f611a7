/**
 * A token bucket per caller and policy, in this process. The generic cell rate algorithm keeps one number
 * per bucket: the moment at which it is full again.
 */
import { VolleyError } from "@volley/schema/errors";

export const WINDOW_SECONDS = 60;
/** Streams that one caller has open at the same time: each costs a connection and looks at the database now and then. */
const OPEN_STREAMS_MAX = 256;
/** Buckets at most; the one that was used the longest ago goes first. It was full, or its caller is one of many. */
const BUCKETS_MAX = 100_000;

export interface RateLimiterOptions {
  /** Requests per window and bucket; also the largest burst. */
  readonly quota: number;
}

/** One bucket after a request, as the RateLimit fields say it (draft-ietf-httpapi-ratelimit-headers). */
export interface RateLimit {
  readonly policy: string;
  readonly quota: number;
  readonly remaining: number;
  /** Until the whole quota is there again. */
  readonly resetSeconds: number;
}

export interface RateLimiter {
  /** @throws {VolleyError} `rate_limited`, with the seconds to wait */
  take(policy: string, caller: string, nowMs: number): RateLimit;
  /** Whether the bucket is empty, without taking from it. */
  isEmpty(policy: string, caller: string, nowMs: number): boolean;
  /**
   * Counts a stream of the caller as open.
   * @returns to be called once when it has ended
   * @throws {VolleyError} `rate_limited`
   */
  openStream(caller: string): () => void;
}

export function rateLimiter({ quota }: RateLimiterOptions): RateLimiter {
  const windowMs = WINDOW_SECONDS * 1000;
  const costMs = windowMs / quota;
  const fullAtMs = new Map<string, number>();
  const streams = new Map<string, number>();
  const debtMs = (key: string, nowMs: number) => Math.max(0, (fullAtMs.get(key) ?? 0) - nowMs);
  return {
    isEmpty: (policy, caller, nowMs) => debtMs(`${policy} ${caller}`, nowMs) + costMs > windowMs,
    openStream(caller) {
      const open = streams.get(caller) ?? 0;
      if (open >= OPEN_STREAMS_MAX) {
        throw new VolleyError("rate_limited", `More than ${OPEN_STREAMS_MAX} streams are open at the same time.`, {
          nextAction: "Close some of them first.",
          retryAfterSeconds: 1,
          extensions: { violated_policies: ["stream"] },
        });
      }
      streams.set(caller, open + 1);
      return () => {
        const left = (streams.get(caller) ?? 1) - 1;
        if (left > 0) streams.set(caller, left);
        else streams.delete(caller);
      };
    },
    take(policy, caller, nowMs) {
      const key = `${policy} ${caller}`;
      const debt = debtMs(key, nowMs) + costMs;
      // Rounding must not cost a caller the last request of its quota.
      if (debt > windowMs + costMs / 1000) {
        throw new VolleyError("rate_limited", `More than ${quota} requests a minute of the class "${policy}".`, {
          nextAction: "Wait for the seconds that Retry-After names, then go on more slowly.",
          retryAfterSeconds: Math.ceil((debt - windowMs) / 1000),
          extensions: { violated_policies: [policy] },
        });
      }
      fullAtMs.delete(key);
      fullAtMs.set(key, nowMs + debt);
      if (fullAtMs.size > BUCKETS_MAX) {
        for (const oldest of fullAtMs.keys()) {
          fullAtMs.delete(oldest);
          break;
        }
      }
      return {
        policy,
        quota,
        remaining: Math.max(0, Math.floor((windowMs - debt) / costMs)),
        resetSeconds: Math.ceil(debt / 1000),
      };
    },
  };
}
