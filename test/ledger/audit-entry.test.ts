import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DevelopmentChainServer, startDevelopmentChain } from "../../api/local/chain/start-development-chain.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

let folder: string;
let database: TestDatabase;
let chain: DevelopmentChainServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "volley-audit-"));
  database = await createTestDatabase();
  chain = await startDevelopmentChain({ slotMs: 50, slotsToFinalize: 2 });
  await writeFile(
    join(folder, "local.json"),
    JSON.stringify({
      database_url: database.url,
      rpc_url: chain.rpcUrl,
      usdc_mint: chain.usdcMint,
      treasury_address: "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM",
    }),
  );
});
afterAll(async () => {
  await chain.close();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

function audit(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { DATABASE_URL: _unused, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, ["api/entry/audit.ts", ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}

test("prints every rule as JSON and exits with 0, with 1 when one is broken, with 2 when it can't look", async () => {
  const sound = await audit("--data-dir", folder);
  expect(sound).toMatchObject({ code: 0, stderr: "" });
  const report: { holds: boolean; results: { name: string; holds: boolean }[] } = JSON.parse(sound.stdout);
  expect(report.holds).toBe(true);
  expect(report.results.map((result) => result.name.slice(0, 2))).toEqual(
    expect.arrayContaining(["I1", "I2", "I3", "I4", "I5", "I6", "C1", "C2", "C3"]),
  );

  await database.db.execute(
    sql`INSERT INTO accounts (id, kind, limited, credits_posted, created_at) VALUES ('customer:x', 'customer', true, 1, 1)`,
  );
  const broken = await audit("--data-dir", folder);
  expect(broken.code).toBe(1);
  expect(JSON.parse(broken.stdout)).toMatchObject({ holds: false });

  const blind = await audit("--data-dir", join(folder, "nowhere"));
  expect(blind.code).toBe(2);
  expect(blind.stderr).toContain("local.json could not be read");
});
