import { createHash } from "node:crypto";
import { VolleyError } from "@volley/schema/errors";
import { OPERATIONS, type OperationId } from "@volley/schema/operations/index";
import type { Context } from "../context.ts";

/** How long a key is kept. */
const LIFETIME_MS = 30 * 24 * 3600 * 1000;

export interface IdempotencyRecord {
  readonly key: string;
  /** SHA-256 of operation and input, in hex. */
  readonly fingerprint: string;
  readonly expiresAtMs: number;
}

/**
 * What the request's key stands for; null when there is no key and the operation doesn't require one.
 * @throws {VolleyError} `idempotency_key_missing`
 */
export function idempotencyRecord(ctx: Context, operation: OperationId, input: unknown): IdempotencyRecord | null {
  const key = ctx.idempotencyKey;
  if (key === null) {
    if (OPERATIONS[operation].idempotency !== "required") return null;
    throw new VolleyError("idempotency_key_missing", "This operation needs an Idempotency-Key.", {
      nextAction: "Send a fresh random key, and the same one when you repeat the request.",
    });
  }
  return {
    key,
    fingerprint: createHash("sha256")
      .update(canonicalJson([operation, input]))
      .digest("hex"),
    expiresAtMs: ctx.clock.nowMs() + LIFETIME_MS,
  };
}

/** JSON with the members of every object in order of their names, so that equal values are equal texts. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === "bigint"
      ? member.toString()
      : member !== null && typeof member === "object" && !Array.isArray(member)
        ? Object.fromEntries(Object.entries(member).sort(([one], [two]) => (one < two ? -1 : 1)))
        : member,
  );
}
