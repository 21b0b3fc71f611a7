/** The server as production runs it: one file, on a real database. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { insertNetwork } from "../../api/db/seed/insert-network.ts";
import { bundleForNode } from "../../api/scripts/bundle-for-node.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

const ADDRESS = "7VHUFJHWu2CuExkJcJrzhQPJ2oygupTWkL2A2For4BmE";
let folder: string;
let database: TestDatabase;
let server: ChildProcess | undefined;

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo;
  holder.close();
  await once(holder, "close");
  return port;
}

/** Starts a bundled program and gives its output once that says `sign`, or all of it if it ends before. */
async function start(name: string, environment: Record<string, string>, sign: string): Promise<string> {
  server = spawn(process.execPath, [join(folder, `${name}.mjs`)], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { stdout, stderr } = server;
  if (stdout === null || stderr === null) throw new Error("the output is not piped");
  let output = "";
  return await new Promise((resolve) => {
    for (const stream of [stdout, stderr]) {
      stream.on("data", (chunk) => {
        output += chunk;
        if (output.includes(sign)) resolve(output);
      });
    }
    server?.once("close", () => resolve(output));
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "volley-server-"));
  database = await createTestDatabase();
  await insertNetwork(database.url, { nodes: 50, seed: 1 }, Date.now());
  await bundleForNode({ node: "entry/node.ts", treasury: "entry/treasury.ts" }, folder);
}, 60_000);
afterAll(async () => {
  server?.kill("SIGKILL");
  await database?.close();
  await rm(folder, { recursive: true, force: true });
});

test("serves both faces, is ready, and stops when asked", { timeout: 60_000 }, async () => {
  const port = await freePort();
  const settings = {
    DATABASE_URL: database.url,
    HOST: "127.0.0.1",
    PORT: String(port),
    SOLANA_RPC_URL: "http://127.0.0.1:1",
    USDC_MINT: ADDRESS,
    VOLLEY_TREASURY_ADDRESS: ADDRESS,
    VOLLEY_QUOTE_KEYS: "A".repeat(43),
    VOLLEY_SECRET_KEY: "B".repeat(43),
  };
  const output = await start("node", settings, "listening");
  expect(output).toContain("listening");
  const rest = await fetch(`http://127.0.0.1:${port}/v1/gpus`);
  const { data } = (await rest.json()) as { data: { gpu: string }[] };
  expect(data.length).toBeGreaterThan(0);
  const graphql = await fetch(`http://127.0.0.1:${port}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: "{ network { nodes } }" }),
  });
  expect(await graphql.json()).toMatchObject({ data: { network: { nodes: 50 } } });
  const ended = once(server as ChildProcess, "exit");
  server?.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
});

test("the treasury starts from its file too, and says what it lacks", { timeout: 60_000 }, async () => {
  expect(await start("treasury", {}, "never")).toMatch(/VOLLEY_TREASURY_KEYPAIR|SOLANA_RPC_URL/);
});
