/** From what a handler answers to the HTTP response with all the headers that every answer carries. */
import { isVolleyError, type Problem, toProblem, type VolleyError } from "@volley/schema/errors";
import type { Call } from "./call.ts";
import { WINDOW_SECONDS } from "./rate-limiter.ts";
import { API_VERSION } from "./version.ts";
import { paymentHeadersOfError } from "./x402-headers.ts";

export interface Answer {
  readonly status: number;
  readonly body: string | ReadableStream<Uint8Array> | null;
  readonly headers: Readonly<Record<string, string>>;
}

const EXPOSED =
  "Link, Payment-Required, Payment-Response, RateLimit, RateLimit-Policy, Retry-After, Volley-Version, X-Request-Id, X-Should-Retry";

const COMMON_HEADERS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": EXPOSED,
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000",
  "volley-version": API_VERSION,
  "x-content-type-options": "nosniff",
} as const;

/** For requests that a browser asks leave for (Fetch standard, CORS protocol). */
export const PREFLIGHT_HEADERS = {
  ...COMMON_HEADERS,
  "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
  "access-control-allow-headers":
    "Accept, Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Payment-Signature, Volley-Node-Signature, Volley-Version, X-Request-Id",
  "access-control-max-age": "86400",
} as const;

export function jsonAnswer(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, body: JSON.stringify(value), headers: { "content-type": "application/json", ...headers } };
}

/** Seconds to wait before a retry can help, where the error doesn't say so itself. */
function retryAfterSeconds(error: VolleyError): number | undefined {
  if (error.retryAfterSeconds !== undefined) return error.retryAfterSeconds;
  return error.code === "idempotency_in_progress" || error.code === "unavailable" ? 1 : undefined;
}

/** The problem for an error, counted. What nobody raised on purpose is logged here and answered without detail. */
export function reportProblem(call: Call, error: unknown, label: string): Problem {
  const { logger, metrics } = call.services;
  const problem = toProblem(error, call.requestId);
  metrics.count("volley_errors_total", { operation: label, code: problem.code });
  if (problem.status >= 500) logger.error("a request failed", { request_id: call.requestId, operation: label, error });
  return problem;
}

/** RFC 9457 problem details. */
export function problemAnswer(call: Call, error: unknown, label: string): Answer {
  const problem = reportProblem(call, error, label);
  const waitSeconds = isVolleyError(error) ? retryAfterSeconds(error) : undefined;
  return {
    status: problem.status,
    body: JSON.stringify(problem),
    headers: {
      "content-type": "application/problem+json",
      "x-should-retry": String(problem.retryable),
      ...(waitSeconds === undefined ? {} : { "retry-after": String(waitSeconds) }),
      // RFC 9110 section 11.6.1: a 401 says how to authenticate.
      ...(problem.status === 401 ? { "www-authenticate": 'Bearer realm="volley"' } : {}),
      ...allowHeader(error),
      ...paymentHeadersOfError(error),
    },
  };
}

function allowHeader(error: unknown): Record<string, string> {
  if (!isVolleyError(error) || error.code !== "method_not_allowed") return {};
  const { allowed } = error.extensions;
  return Array.isArray(allowed) ? { allow: allowed.join(", ") } : {};
}

/** draft-ietf-httpapi-ratelimit-headers-11: one member per policy that this call was counted under. */
function rateLimitHeaders(call: Call): Record<string, string> {
  if (call.limits.size === 0) return {};
  let policies = "";
  let limits = "";
  for (const limit of call.limits.values()) {
    const comma = policies === "" ? "" : ", ";
    policies += `${comma}"${limit.policy}";q=${limit.quota};w=${WINDOW_SECONDS}`;
    limits += `${comma}"${limit.policy}";r=${limit.remaining};t=${limit.resetSeconds}`;
  }
  return { "ratelimit-policy": policies, ratelimit: limits };
}

export function toResponse(call: Call, answer: Answer): Response {
  return new Response(answer.body, {
    status: answer.status,
    headers: { ...COMMON_HEADERS, ...rateLimitHeaders(call), "x-request-id": call.requestId, ...answer.headers },
  });
}
