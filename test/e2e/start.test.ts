/** What a newcomer sees when `npm start` can't start, or is stopped before it has. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { lockFolder } from "../../api/local/folder-lock.ts";
import { onPort } from "../../api/local/on-port.ts";
import { readLocalOptions } from "../../api/local/options.ts";
import { findLeftovers } from "./leftovers.ts";

const START_TIMEOUT_MS = 60_000;

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "volley-start-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function start(folder: string, env: Readonly<Record<string, string>> = {}) {
  const child = spawn(
    process.execPath,
    ["api/entry/local.ts", "--port", "0", "--rpc-port", "0", "--data-dir", folder],
    { cwd: new URL("../..", import.meta.url), env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (printed += chunk));
  return { child, ended: once(child, "close").then(([code]) => ({ code: code as number | null, printed })) };
}

test("stopped while it starts, it leaves nothing running", { timeout: 120_000 }, async () => {
  const folder = await newFolder();
  const { child, ended } = start(folder);
  // Postgres is up, and all the rest isn't.
  await vi.waitUntil(() => existsSync(join(folder, "postgres", "postmaster.pid")), {
    timeout: START_TIMEOUT_MS,
    interval: 5,
  });
  child.kill("SIGINT");
  expect(await ended).toMatchObject({ code: 0, printed: expect.stringContaining("Stopping") });
  expect(await findLeftovers(folder, [])).toEqual([]);
  expect(existsSync(join(folder, "volley.pid"))).toBe(false);
});

test.each([
  [{ DATABASE_URL: "foo" }, /^DATABASE_URL: that Postgres can't be used: .*postgres:\/\//m],
  [{ DATABASE_URL: "postgres://127.0.0.1:1/volley" }, /^DATABASE_URL: that Postgres can't be used: .*ECONNREFUSED/m],
])("a database that can't be used is named: %j", async (env, sentence) => {
  const { code, printed } = await start(await newFolder(), env).ended;
  expect(code).toBe(1);
  expect(printed).toMatch(sentence);
});

test("a port that is taken is named, with the option that takes another", async () => {
  const listen = async (port: number) => {
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);
  await expect(onPort("rpc-port", port, () => listen(port))).rejects.toThrow(
    `Port ${port} is taken by another program. Pass another --rpc-port; 0 takes a free one.`,
  );
});

test("an unknown option is answered with those that there are", () => {
  expect(() => readLocalOptions(["--prot", "1"])).toThrow(/--prot.*--port N/s);
});

test("a folder that seems to be in use says how to go on when it isn't", async () => {
  const folder = await newFolder();
  // A process that lives and is none of ours: as after a copy, or when a number is given out again.
  await writeFile(join(folder, "volley.pid"), String(process.ppid));
  await expect(lockFolder(folder)).rejects.toThrow(`remove ${join(folder, "volley.pid")}`);
});
