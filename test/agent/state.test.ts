import { createHash, createPublicKey, verify } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeSignatureText, parseNodeProof } from "@volley/schema/node-signature";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { encodeData, splitData } from "../../agent/control/encode-chunk.ts";
import { signRequests } from "../../agent/control/sign-requests.ts";
import { Counters } from "../../agent/state/counters.ts";
import { lockDataDirectory } from "../../agent/state/data-lock.ts";
import { loadNodeKey } from "../../agent/state/identity.ts";
import { LeaseBook } from "../../agent/state/lease-book.ts";

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "volley-state-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

describe("counters", () => {
  it("only grow, over any series of uses and crashes", async () => {
    const directory = await newDirectory();
    const lives = fc.array(fc.array(fc.constantFrom("heartbeat", "assignments", "report"), { maxLength: 2_500 }), {
      maxLength: 4,
    });
    const last = { heartbeat: 0, assignments: 0, report: 0 };
    fc.assert(
      fc.property(lives, (series) => {
        for (const life of series) {
          const counters = new Counters(directory, () => 1_000);
          for (const channel of life) {
            const counter = counters.take(channel);
            expect(counter).toBeGreaterThan(last[channel]);
            last[channel] = counter;
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it("grow although their file was lost, and jump when they were used elsewhere", async () => {
    const directory = await newDirectory();
    const first = new Counters(directory, () => 5_000).take("report");
    await rm(join(directory, "counters.json"));
    const counters = new Counters(directory, () => 6_000);
    const second = counters.take("report");
    expect(second).toBeGreaterThan(first);
    counters.skipAhead("report");
    expect(counters.take("report")).toBeGreaterThan(second + 500);
  });
});

describe("a signature", () => {
  it("binds method, path with query, body, node, channel and counter", async () => {
    const directory = await newDirectory();
    const key = loadNodeKey(directory);
    const counters = new Counters(directory, () => 7_000);
    const authorize = signRequests({ nodeId: "nd_1", privateKey: key.privateKey, counters });
    const request = {
      method: "GET",
      path: "/v1/nodes/nd_1/assignments?after=3&wait_seconds=20",
      body: new Uint8Array(),
    } as const;
    const headers = await authorize(request);
    const proof = parseNodeProof(headers["volley-node-signature"] ?? "");
    expect(proof).toMatchObject({ nodeId: "nd_1", channel: "assignments", counter: 7_000 });
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: key.publicKey }, format: "jwk" });
    const bodySha256 = createHash("sha256").update(request.body).digest("hex");
    const claims = { ...request, bodySha256, nodeId: "nd_1", channel: "assignments", counter: 7_000 } as const;
    const holds = (changes: Partial<typeof claims> | { counter: number } | { path: string }) =>
      verify(
        null,
        Buffer.from(nodeSignatureText({ ...claims, ...changes })),
        publicKey,
        Buffer.from(proof?.signature ?? "", "base64url"),
      );
    expect(holds({})).toBe(true);
    expect(holds({ path: "/v1/nodes/nd_1/assignments" })).toBe(false);
    expect(holds({ counter: 7_001 })).toBe(false);
  });

  it("is not put on what is no request of the node's own", async () => {
    const directory = await newDirectory();
    const { privateKey } = loadNodeKey(directory);
    const authorize = signRequests({ nodeId: "nd_1", privateKey, counters: new Counters(directory, () => 1) });
    for (const path of ["/v1/nodes", "/v1/nodes/nd_1", "/v1/clusters"]) {
      expect(await authorize({ method: "POST", path, body: new Uint8Array() })).toEqual({});
    }
  });
});

describe("the key", () => {
  it("is made once, stays the same, and can be read by its owner alone", async () => {
    const directory = await newDirectory();
    const { publicKey } = loadNodeKey(directory);
    expect(loadNodeKey(directory).publicKey).toBe(publicKey);
    expect((await stat(join(directory, "node-key.pem"))).mode & 0o777).toBe(0o600);
  });
});

describe("the lock of the directory", () => {
  it("is taken by one of several agents that find the lock of one that was killed", async () => {
    const directory = await newDirectory();
    await writeFile(join(directory, "agent.lock"), JSON.stringify({ pid: process.pid, startedAt: "before the crash" }));
    const agents = await Promise.allSettled([1, 2, 3].map(() => lockDataDirectory(directory)));
    expect(agents.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    expect(await readdir(directory)).toEqual(["agent.lock"]);
  });
});

describe("the book of leases", () => {
  it("says so when it was damaged, and does not start empty", async () => {
    const directory = await newDirectory();
    await writeFile(join(directory, "leases.json"), '{"leases":');
    expect(() => new LeaseBook(directory, { info: () => undefined, warn: () => undefined })).toThrow(
      /leases\.json is damaged/,
    );
    expect(await readFile(join(directory, "leases.json"), "utf8")).toBe('{"leases":');
  });
});

describe("chunks", () => {
  const decode = (chunk: ReturnType<typeof encodeData>) =>
    Buffer.from(chunk.data, chunk.encoding === "base64" ? "base64" : "utf8");

  it("carry any bytes unchanged, within the limits of the API", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ unit: "binary", maxLength: 300 }).map((text) => new TextEncoder().encode(text)),
    );
    fc.assert(
      fc.property(bytes, (data) => {
        const chunk = encodeData(data);
        expect(decode(chunk).equals(Buffer.from(data))).toBe(true);
        expect(JSON.stringify(chunk.data).length).toBeLessThanOrEqual(data.length * 1.4 + 20);
        expect(chunk.data).not.toContain("\0");
      }),
      { numRuns: 500 },
    );
  });

  it("are cut from any length, in order and without loss", () => {
    const data = Buffer.alloc(200_000, "abcdefg");
    const pieces = splitData(data);
    expect(pieces.length).toBe(4);
    expect(Buffer.concat(pieces).equals(data)).toBe(true);
    expect(pieces.every((piece) => encodeData(Buffer.alloc(piece.length, 0xff)).data.length <= 90_000)).toBe(true);
  });
});
