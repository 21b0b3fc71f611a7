/** Runs every example as a reader would, each against an all-in-one of its own. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalServer } from "../harness/local-server.ts";
import { findLeftovers } from "./leftovers.ts";

const TIMEOUT_MS = 180_000;
const EXAMPLES: readonly (readonly string[])[] = [
  ["examples/rent-and-train/main.ts"],
  ["examples/ci-burst/main.ts"],
  ["examples/embed/main.ts", "--self-test"],
  ["examples/graphql/main.ts"],
  ["examples/x402-agent/main.ts"],
];

function run(args: readonly string[], environment: Record<string, string>): Promise<number | null> {
  const child = spawn(process.execPath, [...args], {
    cwd: new URL("../..", import.meta.url),
    env: { ...process.env, ...environment },
    stdio: ["ignore", "inherit", "inherit"],
    timeout: TIMEOUT_MS,
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
}

const folder = await mkdtemp(join(tmpdir(), "volley-examples-"));
const server = await startLocalServer(folder);
let failures = 0;
try {
  for (const example of EXAMPLES) {
    console.log(`\n--- ${example.join(" ")}`);
    const code = await run(example, { VOLLEY_API_URL: server.local.api_url, VOLLEY_LOCAL: join(folder, "local.json") });
    if (code !== 0) {
      failures++;
      console.error(`${example[0]} ended with ${code}`);
    }
  }
} finally {
  if (failures > 0) console.error(`\nThe server printed last:\n${server.output().slice(-4000)}`);
  await server.stop();
  const leftovers = await findLeftovers(folder, []);
  if (leftovers.length > 0) {
    failures++;
    console.error(`left behind: ${leftovers.join("; ")}`);
  }
  await rm(folder, { recursive: true, force: true });
}
process.exit(failures === 0 ? 0 : 1);
