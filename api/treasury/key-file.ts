import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { SignerError } from "./signer-error.ts";

const keyFile = z.array(z.number().int().min(0).max(255)).length(64);
const OTHERS = 0o077;

/**
 * A key as `solana-keygen` writes it: 32 bytes of seed, 32 of the public key.
 * @throws {SignerError} when the file is missing, readable by others, or no key
 */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  try {
    const { mode } = await stat(path);
    if ((mode & OTHERS) !== 0) throw new SignerError(`other users can read ${path}: chmod 600 it`);
    return Uint8Array.from(keyFile.parse(JSON.parse(await readFile(path, "utf8"))));
  } catch (cause) {
    if (cause instanceof SignerError) throw cause;
    throw new SignerError(`${path} is not a key of 64 bytes as solana-keygen writes it`, { cause });
  }
}
