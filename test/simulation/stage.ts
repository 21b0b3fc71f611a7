/** What all runs share: a Postgres that nobody else uses, and the treasury's signer with its key in a file. */
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKeyPairSignerFromPrivateKeyBytes } from "@solana/kit";
import { migrateDatabase } from "../../api/db/migrate.ts";
import { decodeBase58 } from "../../api/local/chain/bytes.ts";
import { deriveKey } from "../../api/local/chain/keys.ts";
import { startEmbeddedPostgres } from "../../api/local/postgres.ts";
import type { SponsorSigner } from "../../api/ports/sponsor-signer.ts";
import type { TreasurySigner } from "../../api/ports/treasury-signer.ts";
import { sponsorSignerFromFile } from "../../api/treasury/sponsor/sponsor-signer-file.ts";
import type { TreasuryLimits } from "../../api/treasury/treasury-settings.ts";
import { treasurySignerFromFile } from "../../api/treasury/treasury-signer-file.ts";
import { CHAIN_SEED } from "./chain.ts";
import { SimulatedDatabase } from "./database.ts";
import { orderWebCrypto } from "./quiescence.ts";

const FLAGS = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off -c jit=off";

/** Out of the way: what the limits do is not what the simulation is about. */
export const SIMULATED_LIMITS: TreasuryLimits = {
  transactionMaxMicroUsdc: 10n ** 12n,
  dayMaxMicroUsdc: 10n ** 15n,
  transactionMaxLamports: 10n ** 9n,
  dayMaxLamports: 10n ** 12n,
};

export interface Stage {
  readonly database: SimulatedDatabase;
  readonly signer: TreasurySigner;
  readonly sponsor: SponsorSigner;
}

/** Equal statements must meet equal pages, or a seed would not replay: so nobody else may use this Postgres. */
export async function openStage(): Promise<Stage & AsyncDisposable> {
  orderWebCrypto();
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "volley-simulation-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const server = await startEmbeddedPostgres(folder, { flags: FLAGS });
  stack.defer(() => server.stop());
  await migrateDatabase(server.url);
  const database = new SimulatedDatabase(server.url);
  stack.defer(() => database.close());
  const usdcMint = deriveKey(CHAIN_SEED, "usdc mint").address;
  const signer = await treasurySignerFromFile(await keyFile(folder, "treasury"), {
    usdcMint,
    limits: SIMULATED_LIMITS,
  });
  const sponsor = await sponsorSignerFromFile(await keyFile(folder, "sponsor"), { usdcMint });
  const opened = stack.move();
  return { database, signer, sponsor, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** The same wallet in every run, in the format of solana-keygen. */
async function keyFile(folder: string, owner: string): Promise<string> {
  const secret = createHash("sha256").update(`${owner} of the simulation`).digest();
  const { address } = await createKeyPairSignerFromPrivateKeyBytes(Uint8Array.from(secret));
  const file = join(folder, `${owner}.json`);
  await writeFile(file, JSON.stringify([...secret, ...decodeBase58(address)]), { mode: 0o600 });
  return file;
}
