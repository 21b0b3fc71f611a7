/** What all routes share: the call, errors as problems, headers, one log line and one measurement. */
import { isVolleyError, VolleyError } from "@volley/schema/errors";
import type { Context as HonoContext } from "hono";
import type { Services } from "../context.ts";
import type { Domain } from "../verbs.ts";
import { type Answer, problemAnswer, toResponse } from "./answer.ts";
import { type Call, requestIdOf } from "./call.ts";
import { callerHasher } from "./caller.ts";
import { type RateLimiter, rateLimiter } from "./rate-limiter.ts";

export interface FaceOptions {
  /** The services for one request, from what the runtime hands over with it. */
  readonly services: (env: unknown) => Services;
  /** The caller's network address; never from a header that the caller can set. */
  readonly callerAddress: (request: Request, env: unknown) => string;
  readonly domain: Domain;
}

export type Handle = (call: Call, c: HonoContext) => Promise<Answer>;
export type Route = (c: HonoContext) => Promise<Response>;
/** Makes a route of a handler; `label` names it in logs and metrics. */
export type Endpoint = (label: string, handle: Handle) => Route;

const NO_BYTES = new Uint8Array(0);
/** In metrics, requests whose caller went before the answer; the number is nginx's. */
const GONE: Answer = { status: 499, body: null, headers: {} };
const VERSION_DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

export function endpoints(options: FaceOptions): Endpoint {
  let limiter: RateLimiter | undefined;
  let hashOf: ((address: string) => string) | undefined;

  const open = (c: HonoContext): Call => {
    const request = c.req.raw;
    const services = options.services(c.env);
    limiter ??= rateLimiter({ quota: services.settings.rateLimitPerMinute });
    hashOf ??= callerHasher(services.settings.secretKey);
    return {
      services,
      requestId: requestIdOf(services, request.headers),
      callerHash: hashOf(options.callerAddress(request, c.env)),
      method: request.method,
      target: request.url.slice(request.url.indexOf("/", 8)),
      headers: request.headers,
      get signal() {
        return request.signal;
      },
      body: NO_BYTES,
      authenticateNode: options.domain.authenticateNode,
      limiter,
      limits: new Map(),
    };
  };

  return (label, handle) => async (c) => {
    const call = open(c);
    const { clock, logger, metrics } = call.services;
    const startedMs = clock.nowMs();
    let answer: Answer;
    try {
      checkVersion(call.headers);
      answer = await handle(call, c);
    } catch (error) {
      // Who has gone reads no problem, and is none of ours.
      const hasGone = !isVolleyError(error) && call.signal.aborted;
      answer = hasGone ? GONE : problemAnswer(call, error, label);
    }
    const seconds = (clock.nowMs() - startedMs) / 1000;
    metrics.observe("volley_http_request_seconds", seconds, { operation: label, status: String(answer.status) });
    logger.debug("answered", { request_id: call.requestId, operation: label, status: answer.status, seconds });
    return toResponse(call, answer);
  };
}

/** There is one version so far, so any date gets it; `Volley-Version` in the answer says which one that is. */
function checkVersion(headers: Headers): void {
  const asked = headers.get("volley-version");
  if (asked === null || VERSION_DATE.test(asked)) return;
  throw new VolleyError("invalid_field", "The Volley-Version header is not a date.", {
    nextAction: "Send it as YYYY-MM-DD, or leave it out.",
  });
}
