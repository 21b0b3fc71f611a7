/** What the all-in-one makes once and keeps in its folder: keys of tokens and secrets, and two wallets. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { getBase58Decoder } from "@solana/kit";
import { z } from "zod";

const SECRET_BYTES = 32;
const keypairSchema = z.array(z.number().int().min(0).max(255)).length(64);
const secretsSchema = z.object({ quote_key: z.string(), secret_key: z.string() });

async function readOrCreate(file: string, create: () => string): Promise<string> {
  try {
    await writeFile(file, create(), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  return readFile(file, "utf8");
}

/** Seed of the key that signs receipts. */
export async function readOrCreateReceiptKey(folder: string): Promise<string> {
  return readOrCreate(join(folder, "receipt.key"), () => randomBytes(32).toString("base64url"));
}

export interface LocalSecrets {
  readonly quoteKey: string;
  readonly secretKey: string;
}

export async function readOrCreateSecrets(folder: string): Promise<LocalSecrets> {
  const text = await readOrCreate(join(folder, "secrets.json"), () =>
    JSON.stringify({
      quote_key: randomBytes(32).toString("base64url"),
      secret_key: randomBytes(32).toString("base64url"),
    }),
  );
  const secrets = secretsSchema.parse(JSON.parse(text));
  return { quoteKey: secrets.quote_key, secretKey: secrets.secret_key };
}

/** A wallet in the format of solana-keygen: 32 bytes of seed, 32 bytes of public key, as a JSON array. */
function newKeypairJson(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  if (d === undefined || x === undefined) throw new Error("the key has no Ed25519 parts");
  return JSON.stringify([...Buffer.from(d, "base64url"), ...Buffer.from(x, "base64url")]);
}

/** The path of a wallet's key file, which is made on first use. */
export async function keypairFile(folder: string, name: string): Promise<string> {
  const file = join(folder, `${name}.json`);
  await readOrCreate(file, newKeypairJson);
  return file;
}

/** Whose key a file holds, without the half that signs. */
export async function addressOfKeypair(file: string): Promise<string> {
  const bytes = keypairSchema.parse(JSON.parse(await readFile(file, "utf8")));
  return getBase58Decoder().decode(Uint8Array.from(bytes.slice(SECRET_BYTES)));
}
