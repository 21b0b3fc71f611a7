import { getBase58Decoder, getBase58Encoder } from "@solana/kit";

const addressBytes = 32;
const maxRemembered = 20_000;

// Base58 takes quadratic time, and the same few addresses go back and forth in every transaction.
const textOfAddress = new Map<string, string>();
const bytesOfAddress = new Map<string, Uint8Array>();

export function encodeBase58(bytes: Uint8Array): string {
  if (bytes.length !== addressBytes) return getBase58Decoder().decode(bytes);
  const key = Buffer.from(bytes).toString("latin1");
  const known = textOfAddress.get(key);
  return known ?? remember(textOfAddress, key, getBase58Decoder().decode(bytes));
}

export function decodeBase58(text: string): Uint8Array {
  const known = bytesOfAddress.get(text);
  if (known !== undefined) return known;
  const bytes = Uint8Array.from(getBase58Encoder().encode(text));
  return bytes.length === addressBytes ? remember(bytesOfAddress, text, bytes) : bytes;
}

function remember<K, V>(memory: Map<K, V>, key: K, value: V): V {
  if (memory.size >= maxRemembered) memory.clear();
  memory.set(key, value);
  return value;
}

export const encodeBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** Bytes of base64 text, or null when the text is not base64 in its one canonical form. */
export function decodeBase64(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? Uint8Array.from(bytes) : null;
}
