import { request } from "node:http";
import {
  signature as asSignature,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  sendAndConfirmTransactionFactory,
} from "@solana/kit";
import { getTransferSolInstruction } from "@solana-program/system";
import { fetchToken } from "@solana-program/token";
import { afterEach, describe, expect, it } from "vitest";
import {
  type DevelopmentChainServer,
  type DevelopmentChainServerOptions,
  startDevelopmentChain,
} from "../../api/local/chain/start-development-chain.ts";
import { oneSol, signed, usdcAccountOf } from "./wallet.ts";

const open: DevelopmentChainServer[] = [];

async function start(options: DevelopmentChainServerOptions = {}): Promise<DevelopmentChainServer> {
  const server = await startDevelopmentChain({ slotMs: 20, slotsToFinalize: 8, ...options });
  open.push(server);
  return server;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function post(url: string, body: unknown) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(url, { method: "POST", body: text, headers: { "content-type": "application/json" } });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

const call = (method: string, ...params: unknown[]) => ({ jsonrpc: "2.0", id: 1, method, params });

describe("kit over HTTP and WebSocket", () => {
  it("sends a transaction and is notified at each commitment", async () => {
    const server = await start();
    const rpc = createSolanaRpc(server.rpcUrl);
    const rpcSubscriptions = createSolanaRpcSubscriptions(server.wsUrl);
    const payer = await generateKeyPairSigner();
    await post(server.faucetUrl, { address: payer.address, sol: 2 });
    const to = (await generateKeyPairSigner()).address;
    const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
    const levels = ["processed", "confirmed", "finalized"] as const;
    for (const [index, commitment] of levels.entries()) {
      const { value: lifetime } = await rpc.getLatestBlockhash({ commitment }).send();
      const transfer = getTransferSolInstruction({
        source: payer,
        destination: to,
        amount: oneSol / 10n + BigInt(index),
      });
      const { transaction, signature } = await signed(server.chain, payer, [transfer], { lifetime });
      await sendAndConfirm(transaction as Parameters<typeof sendAndConfirm>[0], { commitment });
      const { value } = await rpc.getSignatureStatuses([signature]).send();
      expect(levels.slice(index)).toContain(value[0]?.confirmationStatus);
    }
    const balance = await rpc.getBalance(to, { commitment: "finalized" }).send();
    expect(balance.value).toBe((3n * oneSol) / 10n + 3n);
  });

  it("notifies of slots, accounts and logs", async () => {
    const server = await start();
    const rpcSubscriptions = createSolanaRpcSubscriptions(server.wsUrl);
    const payer = await generateKeyPairSigner();
    const abort = new AbortController();
    const abortSignal = abort.signal;
    const slots = await rpcSubscriptions.slotNotifications().subscribe({ abortSignal });
    const accounts = await rpcSubscriptions
      .accountNotifications(payer.address, { commitment: "confirmed", encoding: "base64" })
      .subscribe({ abortSignal });
    const logs = await rpcSubscriptions
      .logsNotifications({ mentions: [payer.address] }, { commitment: "confirmed" })
      .subscribe({ abortSignal });
    const first = async <T>(notifications: AsyncIterable<T>): Promise<T> => {
      for await (const notification of notifications) return notification;
      throw new Error("The notifications ended");
    };
    // Kit keeps no notification for who begins to read later.
    const firsts = Promise.all([first(slots), first(accounts), first(logs)]);
    const given = await post(server.faucetUrl, { address: payer.address, sol: "1.5" });
    const [slot, account, log] = await firsts;
    expect(slot.slot - slot.parent).toBe(1n);
    expect(account.value.lamports).toBe(1_500_000_000n);
    expect([log.value.signature]).toEqual(given.body.signatures);
    expect(log.value.err).toBeNull();
    abort.abort();
  });
});

describe("the faucet", () => {
  it("gives SOL and USDC by a transaction that the chain shows", async () => {
    const server = await start();
    const rpc = createSolanaRpc(server.rpcUrl);
    const { address } = await generateKeyPairSigner();
    const answer = await post(server.faucetUrl, { address, sol: 1.25, usdc: "250.000001" });
    expect(answer).toMatchObject({ status: 200, body: { sol: "1.250000000", usdc: "250.000001" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    const again = await post(server.faucetUrl, { address, sol: 1.25, usdc: "250.000001" });
    expect(again.body).toMatchObject({ sol: "2.500000000", usdc: "500.000002" });
    const account = await fetchToken(rpc, await usdcAccountOf(server.chain, address), { commitment: "processed" });
    expect(account.data.amount).toBe(500_000_002n);
    const [signature] = answer.body.signatures as [string];
    const { value } = await rpc.getSignatureStatuses([asSignature(signature)]).send();
    expect(value[0]?.err).toBeNull();
  });

  const someone = "11111111111111111111111111111112";
  it.each([
    ["no JSON", "{", "not JSON"],
    ["no address", { sol: 1 }, "address"],
    ["a wrong address", { address: "abc", sol: 1 }, "32 bytes in base58"],
    ["no amount", { address: someone }, "positive amount"],
    ["nothing asked for", { address: someone, sol: 0 }, "positive amount"],
    ["a negative amount", { address: someone, sol: -1 }, 'like "12.5"'],
    ["too many places", { address: someone, usdc: "1.0000001" }, "at most 6 decimal places"],
    ["text for an amount", { address: someone, usdc: "many" }, "an amount of USDC"],
    ["too much", { address: someone, usdc: "1000000001" }, "at most"],
    ["an unknown field", { address: someone, sol: 1, eth: 1 }, "eth"],
  ])("refuses %s", async (_name, body, sentence) => {
    const server = await start();
    const answer = await post(server.faucetUrl, body);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toContain(sentence);
  });
});

describe("JSON-RPC over HTTP", () => {
  it("answers batches, and nothing to notifications", async () => {
    const server = await start();
    const batch = [call("getHealth"), { ...call("getSlot"), id: "two" }, { jsonrpc: "2.0", method: "getSlot" }];
    const { body } = await post(server.rpcUrl, batch);
    expect(body).toMatchObject([
      { id: 1, result: "ok" },
      { id: "two", result: expect.any(Number) },
    ]);
    const silent = await fetch(server.rpcUrl, { method: "POST", body: '{"jsonrpc":"2.0","method":"getSlot"}' });
    expect(silent.status).toBe(204);
  });

  it.each([
    ["text that is no JSON", "{", -32700],
    ["a number", 1, -32600],
    ["an empty batch", [], -32600],
    ["a request of JSON-RPC 1", { id: 1, method: "getSlot" }, -32600],
    ["parameters by name", { ...call("getSlot"), params: { commitment: "confirmed" } }, -32600],
    ["an unknown method", call("getMoney"), -32601],
    ["a missing parameter", call("getBalance"), -32602],
    ["a wrong address", call("getBalance", "abc"), -32602],
    ["a wrong commitment", call("getSlot", { commitment: "max" }), -32602],
    ["too many parameters", call("getSlot", {}, 1), -32602],
    ["a transaction that is none", call("sendTransaction", "AAAA", { encoding: "base64" }), -32602],
    ["text that is no base64", call("sendTransaction", "%%%%", { encoding: "base64" }), -32602],
    ["text that is no base58", call("sendTransaction", "0OIl"), -32602],
    [
      "history at processed",
      call("getSignaturesForAddress", "11111111111111111111111111111112", { commitment: "processed" }),
      -32602,
    ],
    ["a slot of the future", call("getBlock", 1_000_000), -32004],
    ["a context of the future", call("getSlot", { minContextSlot: 1_000_000 }), -32016],
  ])("refuses %s", async (_name, body, code) => {
    const server = await start();
    const answer = await post(server.rpcUrl, body);
    expect(answer.body).toMatchObject({ error: { code } });
  });

  it("says what it is, allows every origin, and refuses what it does not serve", async () => {
    const server = await start();
    const about = (await (await fetch(server.rpcUrl)).json()) as { warning: string; usdc_mint: string };
    expect(about.warning).toContain("not Solana");
    expect(about.usdc_mint).toBe(server.usdcMint);
    const preflight = await fetch(server.rpcUrl, { method: "OPTIONS" });
    expect(preflight.headers.get("access-control-allow-methods")).toContain("POST");
    expect((await fetch(`${server.rpcUrl}/elsewhere`)).status).toBe(404);
    expect((await fetch(server.faucetUrl)).status).toBe(405);
    expect((await post(server.rpcUrl, "x".repeat(20_000_000))).status).toBe(413);
  });

  it("closes with connections open and a request half sent", async () => {
    const server = await start();
    const subscriptions = createSolanaRpcSubscriptions(server.wsUrl);
    await subscriptions.slotNotifications().subscribe({ abortSignal: new AbortController().signal });
    const half = request(server.rpcUrl, { method: "POST", headers: { "content-length": "100" } });
    const broken = new Promise((resolve) => half.once("error", resolve));
    half.write("{");
    await fetch(server.rpcUrl);
    await server.close();
    await broken;
    await expect(fetch(server.rpcUrl)).rejects.toThrow("fetch failed");
  });

  it("accepts base58 transactions and answers the same signature to a duplicate", async () => {
    const server = await start();
    const rpc = createSolanaRpc(server.rpcUrl);
    const payer = await generateKeyPairSigner();
    await post(server.faucetUrl, { address: payer.address, sol: 1 });
    const transfer = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    const { transaction, signature } = await signed(server.chain, payer, [transfer]);
    const wire = getBase64EncodedWireTransaction(transaction);
    for (let times = 0; times < 3; times++) {
      const config = { encoding: "base64", preflightCommitment: "processed" } as const;
      expect(await rpc.sendTransaction(wire, config).send()).toBe(signature);
    }
    const listed = await post(server.rpcUrl, call("getTransactionCount", { commitment: "processed" }));
    expect(listed.body.result).toBe(2);
  });
});
