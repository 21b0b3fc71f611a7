import { once } from "node:events";
import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type DevelopmentChainServer, startDevelopmentChain } from "../../api/local/chain/start-development-chain.ts";

let server: DevelopmentChainServer;
beforeAll(async () => {
  server = await startDevelopmentChain({ slotMs: 50 });
});
afterAll(() => server.close());

const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "getSlot" });

async function statusOf(headers: Record<string, string>, method = "POST"): Promise<number | undefined> {
  const sent = request(server.rpcUrl, { method, headers: { "content-type": "text/plain", ...headers } });
  sent.end(method === "POST" ? body : undefined);
  const [answer] = await once(sent, "response");
  answer.resume();
  return answer.statusCode;
}

async function socketOpens(headers: Record<string, string>): Promise<boolean> {
  const socket = new WebSocket(server.wsUrl, { headers });
  const opened = await Promise.race([
    once(socket, "open").then(() => true),
    once(socket, "unexpected-response").then(() => false),
  ]);
  socket.on("error", () => undefined);
  socket.terminate();
  return opened;
}

test("programs and pages of this machine are served", async () => {
  const { port } = new URL(server.rpcUrl);
  expect(await statusOf({})).toBe(200);
  for (const origin of ["http://localhost:3000", "http://127.0.0.1:8787", "http://[::1]:5173"]) {
    expect(await statusOf({ origin })).toBe(200);
    expect(await statusOf({ origin }, "OPTIONS")).toBe(204);
  }
  expect(await statusOf({ host: `localhost:${port}` })).toBe(200);
  expect(await socketOpens({})).toBe(true);
  expect(await socketOpens({ origin: "http://localhost:3000" })).toBe(true);
});

test("a web page of somebody else gets nothing, under whatever name it reaches this machine", async () => {
  for (const origin of ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.nip.io"]) {
    expect(await statusOf({ origin })).toBe(403);
    expect(await statusOf({ origin }, "OPTIONS")).toBe(403);
    expect(await socketOpens({ origin })).toBe(false);
  }
  for (const host of ["rebound.evil.example", "rebound.evil.example:8899", "169.254.169.254"]) {
    expect(await statusOf({ host })).toBe(403);
  }
});
