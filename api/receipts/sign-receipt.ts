import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { ReceiptContent } from "@volley/schema/resources/receipt";
import type { ReceiptKeys } from "./receipt-keys.ts";

const base64url = (text: string) => Buffer.from(text).toString("base64url");

/** Compact JWS (RFC 7515, RFC 8037). What is signed is the text itself, so nothing has to be written canonically. */
export async function signReceipt(content: ReceiptContent, { signing }: ReceiptKeys): Promise<string> {
  const header = { alg: "EdDSA", kid: signing.kid, typ: "volley-receipt+jws" };
  const signed = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(content))}`;
  const signature = await crypto.subtle.sign("Ed25519", signing.key, new TextEncoder().encode(signed));
  return `${signed}.${Buffer.from(signature).toString("base64url")}`;
}

/** The receipt in a JWS of ours. */
export function contentOf(jws: string): ReceiptContent {
  const [, payload = ""] = jws.split(".");
  return JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
}

/** By this the next receipt of the chain names it. */
export function receiptHash(jws: string): string {
  return createHash("sha256").update(jws).digest("hex");
}
