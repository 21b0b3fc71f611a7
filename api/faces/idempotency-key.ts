/**
 * The Idempotency-Key field (draft-ietf-httpapi-idempotency-key-header-07) is a quoted string;
 * most clients send it bare. Both mean the same key.
 */
import { VolleyError } from "@volley/schema/errors";
import type { Operation } from "@volley/schema/operation";

const KEY_LENGTH_MAX = 255;

/** @throws {VolleyError} `idempotency_key_invalid` */
function normalise(header: string): string {
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header);
  const key = quoted?.[1] === undefined ? header : quoted[1].replace(/\\(["\\])/g, "$1");
  if (
    key.length === 0 ||
    key.length > KEY_LENGTH_MAX ||
    !/^[\x21-\x7e]+$/.test(key) ||
    (!quoted && key.includes('"'))
  ) {
    throw new VolleyError(
      "idempotency_key_invalid",
      `An Idempotency-Key has 1 to ${KEY_LENGTH_MAX} visible ASCII characters, bare or in double quotes.`,
      { nextAction: "Send a fresh UUID for each new request, and the same one when you repeat it." },
    );
  }
  return key;
}

/**
 * The key for one operation; null where it takes none or got none. Whether one is required is the verb's rule.
 * @throws {VolleyError} `idempotency_key_invalid`
 */
export function idempotencyKeyFor(operation: Operation, header: string | null): string | null {
  return operation.idempotency === "none" || header === null ? null : normalise(header);
}
