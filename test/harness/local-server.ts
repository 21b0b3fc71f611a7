/** The all-in-one as a process of its own, in a folder of its own, on free ports. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const START_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/** What the all-in-one writes for programs on the same machine. */
export interface LocalFile {
  readonly api_url: string;
  readonly graphql_url: string;
  readonly rpc_url: string;
  readonly ws_url: string;
  readonly usdc_mint: string;
  readonly faucet_url: string;
  readonly payer_keypair_path: string;
  readonly database_url: string;
}

export interface LocalServer {
  readonly local: LocalFile;
  readonly process: ChildProcess;
  /** What it has printed so far. */
  output(): string;
  /** Asks it to stop, as Ctrl-C does, and answers with its exit code. */
  stop(): Promise<number | null>;
  /** Ends it at once, as a power cut does. */
  kill(): Promise<void>;
}

function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once("exit", (code) => resolve(code)));
}

export async function startLocalServer(
  folder: string,
  options: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<LocalServer> {
  const file = join(folder, "local.json");
  await rm(file, { force: true });
  const child = spawn(
    process.execPath,
    ["api/entry/local.ts", "--port", "0", "--rpc-port", "0", "--data-dir", folder, ...(options.args ?? [])],
    {
      cwd: new URL("../..", import.meta.url),
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let printed = "";
  const keep = (chunk: Buffer) => {
    printed = (printed + chunk.toString()).slice(-200_000);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);

  const read = async (): Promise<LocalFile | null> => {
    try {
      return JSON.parse(await readFile(file, "utf8"));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      throw error;
    }
  };
  const since = performance.now();
  while (performance.now() - since < START_TIMEOUT_MS) {
    const local = await read();
    if (local !== null) {
      return {
        local,
        process: child,
        output: () => printed,
        async stop() {
          child.kill("SIGINT");
          const timeout = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
          const code = await exited(child);
          clearTimeout(timeout);
          return code;
        },
        async kill() {
          child.kill("SIGKILL");
          await exited(child);
        },
      };
    }
    if (child.exitCode !== null || child.signalCode !== null) break;
    await delay(POLL_MS);
  }
  child.kill("SIGKILL");
  throw new Error(`the all-in-one did not come up. It printed:\n${printed.slice(-4000)}`);
}
