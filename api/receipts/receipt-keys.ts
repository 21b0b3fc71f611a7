/**
 * The Ed25519 keys of receipts, through WebCrypto, so that Node and the edge sign alike. The first of the settings
 * signs; all of them are published, so that what an earlier one has signed can still be verified.
 */
import { Buffer } from "node:buffer";
import type { webcrypto } from "node:crypto";
import type { Settings } from "../settings.ts";

/** A public key as RFC 8037 writes it. */
export interface PublicKeyJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid: string;
  readonly use: "sig";
  readonly alg: "EdDSA";
}

export interface ReceiptKeys {
  readonly signing: { readonly kid: string; readonly key: webcrypto.CryptoKey };
  readonly published: readonly PublicKeyJwk[];
}

const PUBLIC_PREFIX = "public:";
/** What precedes the seed in a PKCS #8 file of an Ed25519 key (RFC 8410). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

const known = new WeakMap<object, Promise<ReceiptKeys | null>>();

/** Null when receipts are off. Imported once for one settings object. */
export function receiptKeys(settings: Pick<Settings, "receiptKeys">): Promise<ReceiptKeys | null> {
  const found = known.get(settings);
  if (found !== undefined) return found;
  const read = readKeys(settings.receiptKeys);
  known.set(settings, read);
  return read;
}

async function readKeys(texts: readonly string[]): Promise<ReceiptKeys | null> {
  const [first] = texts;
  if (first === undefined) return null;
  if (first.startsWith(PUBLIC_PREFIX)) throw new Error("the first of VOLLEY_RECEIPT_KEYS signs, so it must be private");
  const published = await Promise.all(texts.map(async (text) => toJwk(await publicPart(text))));
  const [{ kid } = { kid: "" }] = published;
  return { signing: { kid, key: await importSeed(first, false) }, published };
}

async function publicPart(text: string): Promise<string> {
  if (text.startsWith(PUBLIC_PREFIX)) return unpadded(text.slice(PUBLIC_PREFIX.length));
  const { x } = await crypto.subtle.exportKey("jwk", await importSeed(text, true));
  if (x === undefined) throw new Error("an Ed25519 key has a public part");
  return unpadded(x);
}

/** Only a copy whose public part is to be read may be exported. */
function importSeed(text: string, isExtractable: boolean): Promise<webcrypto.CryptoKey> {
  const pkcs8 = Buffer.concat([PKCS8_HEAD, Buffer.from(text, "base64url")]);
  return crypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), "Ed25519", isExtractable, ["sign"]);
}

const unpadded = (text: string) => text.replace(/=+$/, "");

/** Its id is its thumbprint (RFC 7638), so that it can be told from the key alone. */
async function toJwk(x: string): Promise<PublicKeyJwk> {
  const canonical = new TextEncoder().encode(JSON.stringify({ crv: "Ed25519", kty: "OKP", x }));
  const kid = Buffer.from(await crypto.subtle.digest("SHA-256", canonical)).toString("base64url");
  return { kty: "OKP", crv: "Ed25519", x, kid, use: "sig", alg: "EdDSA" };
}
