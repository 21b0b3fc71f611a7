import { createKeyPairSignerFromBytes, type KeyPairSigner } from "@solana/kit";

const KEYPAIR_BYTES = 64;

function bytesOf(text: string): Uint8Array | null {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value) || value.length !== KEYPAIR_BYTES) return null;
  return value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255) ? Uint8Array.from(value) : null;
}

/**
 * Reads a key file as Solana's command line writes it: a JSON array of 64 numbers. Only where there are files: Node,
 * Deno, Bun.
 * @throws {TypeError} when the file holds something else; its content is never shown
 */
export async function keypairSignerFromFile(path: string): Promise<KeyPairSigner> {
  const { readFile } = await import("node:fs/promises");
  const text = await readFile(path, "utf8");
  const refuse = () => new TypeError(`${path} holds no Solana key pair: a JSON array of ${KEYPAIR_BYTES} numbers`);
  let bytes: Uint8Array | null;
  try {
    bytes = bytesOf(text);
  } catch {
    // The parser's own message would quote from the key.
    throw refuse();
  }
  if (bytes === null) throw refuse();
  return createKeyPairSignerFromBytes(bytes);
}
