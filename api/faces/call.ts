/** One HTTP request as every face sees it, and the way from there to the context of a verb. */
import { createHash } from "node:crypto";
import { VolleyError } from "@volley/schema/errors";
import { NODE_SIGNATURE_HEADER, parseNodeProof } from "@volley/schema/node-signature";
import type { InputOf, Operation, RateLimitClass } from "@volley/schema/operation";
import { type Actor, type Context, newId, type Services } from "../context.ts";
import type { Domain } from "../verbs.ts";
import { idempotencyKeyFor } from "./idempotency-key.ts";
import { parseInput } from "./parse-input.ts";
import type { RateLimit, RateLimiter } from "./rate-limiter.ts";

export interface Call {
  readonly services: Services;
  readonly requestId: string;
  readonly callerHash: string;
  readonly method: string;
  /** Path and query, as they were sent. */
  readonly target: string;
  readonly headers: Headers;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
  /** The body's exact bytes, once it has been read. */
  body: Uint8Array;
  readonly authenticateNode: Domain["authenticateNode"];
  readonly limiter: RateLimiter;
  /** What the rate limiter said in this call, one entry per policy. */
  readonly limits: Map<string, RateLimit>;
}

const REQUEST_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{7,127}$/;

/** The caller's own id for the request if it is a sane one, else a new id. */
export function requestIdOf(services: Services, headers: Headers): string {
  const sent = headers.get("x-request-id");
  return sent !== null && REQUEST_ID.test(sent) ? sent : newId(services, "request");
}

/** Takes one request from the caller's allowance of a class. @throws {VolleyError} `rate_limited` */
export function charge(call: Call, policy: RateLimitClass | "graphql", caller = call.callerHash): void {
  call.limits.set(policy, call.limiter.take(policy, caller, call.services.clock.nowMs()));
}

/** RFC 6750 section 2.1. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]{1,512}=*)$/i;

function bearerActor(headers: Headers, scope: "none" | "holder" | "account"): Actor {
  const header = headers.get("authorization");
  if (header === null) return { kind: "anonymous" };
  const token = BEARER.exec(header)?.[1];
  if (token !== undefined) return { kind: "bearer", tokenHash: createHash("sha256").update(token).digest("hex") };
  if (scope === "none") return { kind: "anonymous" };
  throw new VolleyError("credential_invalid", "The Authorization header holds no bearer credential.", {
    nextAction: "Send `Authorization: Bearer <secret>` with the secret exactly as it was answered.",
  });
}

/** Failed proofs count against the network address, so that guessing has an end. */
async function nodeActor(call: Call): Promise<Actor> {
  const header = call.headers.get(NODE_SIGNATURE_HEADER);
  if (header === null) {
    throw new VolleyError("unauthenticated", "Only the machine itself may ask this, signed with its key.", {
      nextAction: `Send the header ${NODE_SIGNATURE_HEADER}.`,
    });
  }
  const proof = parseNodeProof(header);
  charge(call, "node", `${call.callerHash} ${proof?.nodeId ?? ""}`);
  const nowMs = call.services.clock.nowMs();
  if (call.limiter.isEmpty("node", call.callerHash, nowMs)) call.limiter.take("node", call.callerHash, nowMs);
  try {
    if (proof === null) throw new VolleyError("node_signature_invalid", "The node's signature is malformed.");
    return await call.authenticateNode(call.services, proof, {
      method: call.method,
      path: call.target,
      bodySha256: createHash("sha256").update(call.body).digest("hex"),
    });
  } catch (error) {
    call.limiter.take("node", call.callerHash, nowMs);
    throw error;
  }
}

/**
 * Everything that stands between a request and its verb, in this order: rate limit, credential,
 * Idempotency-Key, input. What the caller may see or do is the verb's own check.
 */
export async function enter<Op extends Operation>(
  call: Call,
  operation: Op,
  raw: unknown,
  signal: AbortSignal | null = null,
): Promise<{ ctx: Context; input: InputOf<Op> }> {
  let actor: Actor;
  if (operation.scope === "node") actor = await nodeActor(call);
  else {
    charge(call, operation.rateLimit);
    actor = bearerActor(call.headers, operation.scope);
  }
  const idempotencyKey = idempotencyKeyFor(operation, call.headers.get("idempotency-key"));
  const input = parseInput(operation, raw);
  return { ctx: contextOf(call, actor, idempotencyKey, signal), input };
}

/** The context in which relations are read: whoever got an object may follow what leads on from it. */
export function contextOfReader(call: Call): Context {
  return contextOf(call, bearerActor(call.headers, "none"), null, null);
}

function contextOf(call: Call, actor: Actor, idempotencyKey: string | null, signal: AbortSignal | null): Context {
  return {
    ...call.services,
    actor,
    requestId: call.requestId,
    idempotencyKey,
    callerHash: call.callerHash,
    // Read only by verbs that wait; making a signal is dear on the hot path.
    get signal() {
      return signal ?? call.signal;
    },
  };
}
