import { fork } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleForNode } from "../../api/scripts/bundle-for-node.ts";

export const QUOTE_KEY = "k".repeat(43);
const ADDRESS = "11111111111111111111111111111111";

export interface BenchApi {
  readonly url: string;
  /** From the start of the process until the network was read. */
  readonly loadedMs: number;
  /** Resident memory once it was read. */
  readonly rssBytes: number;
  stop(): void;
}

/** The API as a process of its own over a database, bundled as in production. */
export async function startApi(databaseUrl: string): Promise<BenchApi> {
  const folder = await mkdtemp(join(tmpdir(), "volley-bench-api-"));
  const program = fileURLToPath(new URL("api-server.ts", import.meta.url));
  await bundleForNode({ "api-server": program }, folder);
  const child = fork(join(folder, "api-server.mjs"), {
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      VOLLEY_QUOTE_KEYS: QUOTE_KEY,
      VOLLEY_SECRET_KEY: QUOTE_KEY,
      VOLLEY_TREASURY_ADDRESS: ADDRESS,
      VOLLEY_HOLDS_PER_CALLER_MAX: "1000000",
      VOLLEY_HELD_GPUS_PER_CALLER_PERCENT: "100",
      VOLLEY_HELD_GPUS_PERCENT: "100",
      VOLLEY_RATE_LIMIT_PER_MINUTE: "100000000",
      SOLANA_RPC_URL: "http://127.0.0.1:1",
      USDC_MINT: ADDRESS,
    },
  });
  const message = await new Promise<Omit<BenchApi, "stop">>((resolve, reject) => {
    child.once("message", (value) => resolve(value as Omit<BenchApi, "stop">));
    child.once("exit", (code) => reject(new Error(`the API ended with ${code}`)));
  });
  child.once("exit", () => rmSync(folder, { recursive: true }));
  return { ...message, stop: () => child.disconnect() };
}
