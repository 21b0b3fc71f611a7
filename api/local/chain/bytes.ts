import { getBase58Decoder, getBase58Encoder } from "@solana/kit";

export const encodeBase58 = (bytes: Uint8Array): string => getBase58Decoder().decode(bytes);

export const decodeBase58 = (text: string): Uint8Array => Uint8Array.from(getBase58Encoder().encode(text));

export const encodeBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** Bytes of base64 text, or null when the text is not base64 in its one canonical form. */
export function decodeBase64(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? Uint8Array.from(bytes) : null;
}
