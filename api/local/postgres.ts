/** A real Postgres from npm, started by us with its data in a folder of ours. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import postgres from "postgres";
import { findPostgres, handOver, type PostgresPrograms, runPostgres } from "./postgres-program.ts";

const DATABASE = "volley";
const USER = "postgres";
const INIT_TIMEOUT_MS = 120_000;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
const LOG_TAIL_CHARACTERS = 2_000;

export interface EmbeddedDatabase {
  readonly url: string;
  stop(): Promise<void>;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

async function initialise(programs: PostgresPrograms, folder: string, data: string, password: string): Promise<void> {
  const passwordFile = join(folder, "initial-password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  await handOver(passwordFile);
  try {
    await runPostgres(
      programs.initdb,
      ["-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", passwordFile, "-E", "UTF8", "--locale=C"],
      { folder: data, timeoutMs: INIT_TIMEOUT_MS },
    );
  } catch (error) {
    await rm(data, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** The password of the folder's Postgres, made with it. */
async function readOrCreatePassword(folder: string): Promise<string> {
  const file = join(folder, "postgres.password");
  if (!existsSync(file)) await writeFile(file, randomBytes(18).toString("base64url"), { mode: 0o600 });
  return readFile(file, "utf8");
}

async function createDatabase(base: string): Promise<void> {
  const admin = postgres(`${base}/postgres`, { max: 1, onnotice: () => undefined, connect_timeout: 10 });
  try {
    const existing = await admin`SELECT 1 FROM pg_database WHERE datname = ${DATABASE}`;
    if (existing.length === 0) await admin.unsafe(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await admin.end();
  }
}

async function tailOf(file: string): Promise<string> {
  return existsSync(file) ? (await readFile(file, "utf8")).slice(-LOG_TAIL_CHARACTERS) : "";
}

/**
 * Starts the Postgres of a folder, which is made on first use. It runs in a session of its own, so that a Ctrl-C
 * in our terminal reaches us and not it, and after a hard kill of our process the next start takes it over.
 * @param options.flags further options of the server, such as `-c fsync=off` for tests
 */
export async function startEmbeddedPostgres(
  folder: string,
  options: { flags?: string } = {},
): Promise<EmbeddedDatabase> {
  const programs = await findPostgres();
  await mkdir(folder, { recursive: true });
  const data = join(folder, "postgres");
  const log = join(data, "server.log");
  const password = await readOrCreatePassword(folder);
  const run = (args: readonly string[], timeoutMs: number) =>
    runPostgres(programs.pg_ctl, ["-D", data, ...args], { folder: data, timeoutMs });
  const stop = () => run(["stop", "-m", "fast", "-w"], STOP_TIMEOUT_MS);

  if (!existsSync(join(data, "PG_VERSION"))) {
    await mkdir(data, { recursive: true });
    await handOver(data);
    await chmod(data, 0o700);
    await initialise(programs, folder, data, password);
  } else if (existsSync(join(data, "postmaster.pid"))) {
    // Left behind by a process that was killed; gone already if the machine went down with it.
    await stop().catch(() => undefined);
  }
  const port = await freePort();
  const flags = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200`;
  try {
    await run(["start", "-w", "-l", log, "-o", `${flags} ${options.flags ?? ""}`], START_TIMEOUT_MS);
  } catch (error) {
    throw new Error(`Postgres did not start in ${data}. Its log ends with:\n${await tailOf(log)}`, { cause: error });
  }
  const base = `postgres://${USER}:${password}@127.0.0.1:${port}`;
  await createDatabase(base);
  return { url: `${base}/${DATABASE}`, stop };
}
