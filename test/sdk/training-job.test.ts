/** The job of the example rent-and-train, sent through standard input as the example sends it. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";

const example = await readFile(new URL("../../examples/rent-and-train/train.mjs", import.meta.url), "utf8");
/** Fewer points, for speed; all else is the example's. */
const source = example.replace("const SHARD_SIZE = 16_384;", "const SHARD_SIZE = 512;");

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function runRank(job: string, rank: number, worldSize: number, port: number): Promise<Ended> {
  const child = spawn(process.execPath, ["--input-type=module", "-"], {
    env: {
      VOLLEY_RANK: String(rank),
      VOLLEY_WORLD_SIZE: String(worldSize),
      MASTER_ADDR: "127.0.0.1",
      MASTER_PORT: String(port),
    },
  });
  const ended = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => {
    ended.stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    ended.stderr += chunk;
  });
  child.stdin.end(job);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...ended }));
  });
}

async function train(worldSize: number, jobOf: (rank: number) => string = () => source): Promise<Ended[]> {
  const port = await freePort();
  // Rank 0 comes last, so that the others have to wait for it.
  const ranks = Array.from({ length: worldSize }, (_, index) => worldSize - 1 - index);
  const ended = await Promise.all(ranks.map((rank) => runRank(jobOf(rank), rank, worldSize, port)));
  return ended.reverse();
}

describe("the training job", () => {
  test.each([1, 2, 3, 8])("ends with the same weights on all of %i ranks, having learned", async (worldSize) => {
    const ended = await train(worldSize);
    expect(ended.map(({ code, stderr }) => ({ code, stderr }))).toEqual(ended.map(() => ({ code: 0, stderr: "" })));
    const hashes = ended.map(({ stdout }) => /weights ([0-9a-f]+)/.exec(stdout)?.[1]);
    expect(hashes[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(new Set(hashes).size).toBe(1);
    const losses = [...(ended[0]?.stdout ?? "").matchAll(/loss ([0-9.]+)/g)].map((match) => Number(match[1]));
    expect(losses).toHaveLength(60);
    expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) / 3);
  });

  test("learns from every rank's share: more ranks end with other weights", async () => {
    const [one, two] = [await train(1), await train(2)];
    const hashOf = (ended: Ended[]) => /weights ([0-9a-f]+)/.exec(ended[0]?.stdout ?? "")?.[1];
    expect(hashOf(one)).not.toBe(hashOf(two));
  });

  test("fails on every rank when one of them has other weights, even by the last bit", async () => {
    const start = "random() * 2 - 1";
    expect(source).toContain(start);
    const ended = await train(3, (rank) => (rank === 2 ? source.replace(start, `${start} + 1e-12`) : source));
    expect(ended.map(({ code }) => code)).toEqual([1, 1, 1]);
    expect(ended.map(({ stderr }) => stderr).join("")).toContain("different weights");
  });

  test("fails on every rank when one of them dies", async () => {
    const loop = "step <= STEPS; step++) {";
    expect(source).toContain(loop);
    const dying = source.replace(loop, `${loop} if (step === 3) process.exit(9);`);
    const ended = await train(3, (rank) => (rank === 1 ? dying : source));
    expect(ended.map(({ code }) => code)).toEqual([1, 9, 1]);
  });
});
