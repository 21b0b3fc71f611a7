/**
 * A quote is its token: plan and price, signed, so that quoting writes nothing anywhere.
 * `base64url(payload) "." base64url(HMAC-SHA256)`. The signature covers the payload as it is written, not as it
 * decodes, so no other spelling of the same bytes passes. HMAC in one synchronous call is 25 times as fast as an
 * asymmetric signature through WebCrypto, and nobody but Volley verifies quotes.
 */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { VolleyError } from "@volley/schema/errors";
import { QUOTE_TOKEN_LENGTH_MAX } from "@volley/schema/operations/market";
import { decodePayload, encodePayload, type QuotePayload } from "./quote-payload.ts";

/** Keeps these signatures apart from any other use of the same key. */
const PURPOSE = "volley.quote.v1.";

function signatureOf(payloadText: string, key: string): string {
  return createHmac("sha256", key)
    .update(PURPOSE + payloadText)
    .digest("base64url");
}

/**
 * @param keys the first signs
 * @throws {VolleyError} `size_out_of_range` when the plan is too long for a token
 */
export function signQuote(payload: QuotePayload, keys: readonly string[]): string {
  const [key] = keys;
  if (key === undefined) throw new Error("quotes need a key to be signed with");
  const payloadText = Buffer.from(encodePayload(payload)).toString("base64url");
  const token = `${payloadText}.${signatureOf(payloadText, key)}`;
  if (token.length > QUOTE_TOKEN_LENGTH_MAX) {
    throw new VolleyError("size_out_of_range", "The plan of this cluster is too long for one quote.", {
      nextAction: "Ask for fewer nodes, or name fewer regions.",
    });
  }
  return token;
}

/**
 * Reads a token that one of the keys has signed. Whether the quote has expired is for the caller to judge.
 * @throws {VolleyError} `quote_invalid` for anything else
 */
export function verifyQuote(token: string, keys: readonly string[]): QuotePayload {
  const dot = token.indexOf(".");
  const payloadText = token.slice(0, Math.max(0, dot));
  const isSigned =
    token.length <= QUOTE_TOKEN_LENGTH_MAX && dot > 0 && hasSignature(payloadText, token.slice(dot + 1), keys);
  const payload = isSigned ? decodePayload(Buffer.from(payloadText, "base64url")) : null;
  if (payload === null) {
    throw new VolleyError("quote_invalid", "This is not a quote token that Volley has issued, or it was altered.", {
      nextAction: "Pass the token exactly as quotes.create answered it, or ask for a new quote.",
    });
  }
  return payload;
}

function hasSignature(payloadText: string, signature: string, keys: readonly string[]): boolean {
  const given = Buffer.from(signature);
  let matches = false;
  for (const key of keys) {
    const expected = Buffer.from(signatureOf(payloadText, key));
    // Lengths are public; the comparison itself takes the same time wherever the first difference is.
    if (given.length === expected.length && timingSafeEqual(given, expected)) matches = true;
  }
  return matches;
}
