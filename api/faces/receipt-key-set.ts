import { receiptKeys } from "../receipts/receipt-keys.ts";
import { jsonAnswer } from "./answer.ts";
import type { Handle } from "./endpoint.ts";

/** The public keys of receipts as a JWK set (RFC 7517); without receipts it is empty. */
export const receiptKeySet: Handle = async ({ services }) => {
  const keys = await receiptKeys(services.settings);
  const answer = jsonAnswer(200, { keys: keys?.published ?? [] });
  return { ...answer, headers: { ...answer.headers, "cache-control": "public, max-age=300" } };
};
