/** Payments against a chain with the real SVM and SPL Token program, some through a node that misbehaves. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Address, createSolanaRpc, generateKeyPairSigner, type KeyPairSigner, signature } from "@solana/kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type DevelopmentChainServer, startDevelopmentChain } from "../../api/local/chain/start-development-chain.ts";
import type { Payment } from "../../sdk/index.ts";
import { keypairSignerFromFile, payTransferRequest, payWith } from "../../sdk/solana.ts";

let server: DevelopmentChainServer;
const nodes: Server[] = [];

beforeAll(async () => {
  server = await startDevelopmentChain({ slotMs: 20, blockhashLifetimeBlocks: 200 });
});
afterAll(() => server.close());
afterEach(async () => {
  for (const node of nodes.splice(0)) await new Promise((resolve) => node.close(resolve));
});

async function wallet(microUsdc: bigint): Promise<KeyPairSigner> {
  const signer = await generateKeyPairSigner();
  server.chain.faucet({ address: signer.address, lamports: 10n ** 9n, microUsdc });
  // The faucet's work counts for readers once its slot is confirmed.
  await expect.poll(() => balanceOf(signer.address), { interval: 20 }).toBe(microUsdc);
  return signer;
}

async function balanceOf(owner: Address): Promise<bigint> {
  const { value } = await createSolanaRpc(server.rpcUrl)
    .getTokenAccountsByOwner(
      owner,
      { mint: server.usdcMint as Address },
      { encoding: "jsonParsed", commitment: "confirmed" },
    )
    .send();
  return value.reduce((sum, { account }) => sum + BigInt(account.data.parsed.info.tokenAmount.amount), 0n);
}

interface Request {
  readonly url: string;
  readonly recipient: Address;
  readonly reference: Address;
}

async function request(amount: string, rest = ""): Promise<Request> {
  // One unit makes the recipient's token account exist.
  const recipient = (await wallet(1n)).address;
  const reference = (await generateKeyPairSigner()).address;
  const url = `solana:${recipient}?amount=${amount}&spl-token=${server.usdcMint}&reference=${reference}${rest}`;
  return { url, recipient, reference };
}

/** A node that hands calls on to the chain, unless `meddle` answers in its place or cuts the connection. */
async function nodeThat(meddle: (method: string, count: number) => unknown): Promise<string> {
  const counts = new Map<string, number>();
  const node = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const { id, method } = JSON.parse(body) as { id: unknown; method: string };
    const count = (counts.get(method) ?? 0) + 1;
    counts.set(method, count);
    const answer = meddle(method, count);
    if (answer === "cut") return outgoing.destroy();
    outgoing.setHeader("content-type", "application/json");
    if (answer !== undefined) return outgoing.end(JSON.stringify({ jsonrpc: "2.0", id, result: answer }));
    const passed = await fetch(server.rpcUrl, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    outgoing.end(await passed.text());
  });
  await new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve));
  nodes.push(node);
  return `http://127.0.0.1:${(node.address() as AddressInfo).port}`;
}

describe("paying a transfer request", () => {
  test("moves exactly the amount, names the references and carries the memo", async () => {
    const signer = await wallet(5_000_000n);
    const second = (await generateKeyPairSigner()).address;
    const { url, recipient, reference } = await request(
      "1.234567",
      `&reference=%s&memo=Order%2042`.replace("%s", second),
    );
    const paid = await payTransferRequest({ url, signer, rpcUrl: server.rpcUrl });
    expect(await balanceOf(recipient)).toBe(1_234_567n + 1n);
    expect(await balanceOf(signer.address)).toBe(3_765_433n);
    const rpc = createSolanaRpc(server.rpcUrl);
    for (const key of [reference, second]) {
      const found = await rpc.getSignaturesForAddress(key, { commitment: "confirmed" }).send();
      expect(found.map((entry) => entry.signature)).toEqual([paid]);
    }
    const transaction = await rpc
      .getTransaction(signature(paid), {
        encoding: "jsonParsed",
        commitment: "confirmed",
        maxSupportedTransactionVersion: 0,
      })
      .send();
    const instructions = transaction?.transaction.message.instructions ?? [];
    expect(instructions.map((instruction) => ("parsed" in instruction ? instruction.parsed : null))).toMatchObject([
      "Order 42",
      { type: "transferChecked", info: { tokenAmount: { amount: "1234567" } } },
    ]);
  });

  test("sends again when the node loses the transaction", async () => {
    const signer = await wallet(2_000_000n);
    const { url, recipient } = await request("1");
    const lost = "1".repeat(64);
    const rpcUrl = await nodeThat((method, count) => (method === "sendTransaction" && count === 1 ? lost : undefined));
    await payTransferRequest({ url, signer, rpcUrl });
    expect(await balanceOf(recipient)).toBe(1_000_000n + 1n);
  });

  test("pays once when the answer to sending is lost", async () => {
    const signer = await wallet(3_000_000n);
    const { url, recipient } = await request("1");
    const rpcUrl = await nodeThat((method, count) => {
      if (method === "getSignatureStatuses" && count === 1) return "cut";
      return method === "getBlockHeight" && count === 1 ? "cut" : undefined;
    });
    await payTransferRequest({ url, signer, rpcUrl });
    expect(await balanceOf(recipient)).toBe(1_000_000n + 1n);
    expect(await balanceOf(signer.address)).toBe(2_000_000n);
  });

  test("says that nothing was paid when the transaction can't be included any more", async () => {
    const signer = await wallet(2_000_000n);
    const { url, recipient } = await request("1");
    const rpcUrl = await nodeThat((method) => (method === "sendTransaction" ? "1".repeat(64) : undefined));
    await expect(payTransferRequest({ url, signer, rpcUrl })).rejects.toMatchObject({ code: "transaction_expired" });
    expect(await balanceOf(recipient)).toBe(0n + 1n);
  });

  test("says so when the transaction fails on chain", async () => {
    const signer = await wallet(2_000_000n);
    const { url } = await request("1");
    const failed = {
      context: { slot: 1 },
      value: [
        {
          slot: 1,
          confirmations: 1,
          err: { InstructionError: [0, "InvalidArgument"] },
          status: {},
          confirmationStatus: "confirmed",
        },
      ],
    };
    const rpcUrl = await nodeThat((method) => (method === "getSignatureStatuses" ? failed : undefined));
    await expect(payTransferRequest({ url, signer, rpcUrl })).rejects.toMatchObject({
      code: "transaction_failed",
      signature: expect.stringMatching(/^[1-9A-HJ-NP-Za-km-z]{64,88}$/),
    });
  });

  test("is refused by the chain without SOL for the fee, and says that nothing was paid", async () => {
    const signer = await generateKeyPairSigner();
    server.chain.faucet({ address: signer.address, lamports: 0n, microUsdc: 2_000_000n });
    await expect.poll(() => balanceOf(signer.address), { interval: 20 }).toBe(2_000_000n);
    const { url } = await request("1");
    await expect(payTransferRequest({ url, signer, rpcUrl: server.rpcUrl })).rejects.toMatchObject({
      code: "transaction_refused",
    });
  });

  test("signs nothing when the payer has too little, or none at all", async () => {
    const { url } = await request("1.5");
    for (const signer of [await wallet(1_499_999n), await generateKeyPairSigner()]) {
      await expect(payTransferRequest({ url, signer, rpcUrl: server.rpcUrl })).rejects.toMatchObject({
        code: "funds_missing",
        signature: null,
      });
    }
  });

  test("signs nothing when the recipient can't receive the token, or the token isn't there", async () => {
    const signer = await wallet(2_000_000n);
    const stranger = (await generateKeyPairSigner()).address;
    const pay = (url: string) => payTransferRequest({ url, signer, rpcUrl: server.rpcUrl });
    const noAccount = pay(`solana:${stranger}?amount=1&spl-token=${server.usdcMint}`);
    await expect(noAccount).rejects.toMatchObject({ code: "recipient_unready" });
    const noToken = pay(`solana:${stranger}?amount=1&spl-token=${stranger}`);
    await expect(noToken).rejects.toMatchObject({ code: "mint_unknown" });
    const tooFine = pay(`solana:${stranger}?amount=0.0000001&spl-token=${server.usdcMint}`);
    await expect(tooFine).rejects.toMatchObject({ code: "request_malformed" });
  });

  test("ends by the signal", async () => {
    const signer = await wallet(2_000_000n);
    const { url } = await request("1");
    const controller = new AbortController();
    const rpcUrl = await nodeThat((method) => {
      if (method !== "sendTransaction") return undefined;
      controller.abort();
      return "1".repeat(64);
    });
    await expect(payTransferRequest({ url, signer, rpcUrl, signal: controller.signal })).rejects.toMatchObject({
      name: "AbortedError",
    });
  });
});

describe("paying a payment", () => {
  async function payment(over: Partial<Payment["solanaPay"]> = {}, amount = "1.000000"): Promise<Payment> {
    const { url, recipient, reference } = await request("1");
    const solanaPay = { url, recipient, reference, splToken: server.usdcMint, commitment: "confirmed", ...over };
    return { id: "pay_1", amount: { amount, currency: "USDC" }, solanaPay } as Payment;
  }

  test("gives the signature, and names the wallet that takes money back", async () => {
    const signer = await wallet(2_000_000n);
    const pay = payWith({ signer, rpcUrl: server.rpcUrl });
    const due = await payment();
    expect(await pay(due, {})).toMatch(/^[1-9A-HJ-NP-Za-km-z]{64,88}$/);
    expect(await balanceOf(due.solanaPay?.recipient as Address)).toBe(1_000_000n + 1n);
    expect(pay.refundAddress).toBe(signer.address);
  });

  test("is refused when its URL asks for something else than it shows", async () => {
    const signer = await wallet(2_000_000n);
    const pay = payWith({ signer, rpcUrl: server.rpcUrl });
    const other = (await generateKeyPairSigner()).address;
    const wrong = [
      await payment({}, "0.900000"),
      await payment({ recipient: other }),
      await payment({ splToken: other }),
      await payment({ reference: other }),
    ];
    for (const due of wrong) await expect(pay(due, {})).rejects.toMatchObject({ code: "request_mismatch" });
    expect(await balanceOf(signer.address)).toBe(2_000_000n);
  });
});

describe("a key file", () => {
  test("of Solana's command line makes a signer; anything else is refused without showing it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "volley-key-"));
    try {
      const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
      if (!("privateKey" in pair)) throw new Error("no key pair");
      const privateBytes = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)).slice(-32);
      const publicBytes = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
      const file = join(folder, "key.json");
      await writeFile(file, JSON.stringify([...privateBytes, ...publicBytes]));
      const signer = await keypairSignerFromFile(file);
      expect(signer.address).toMatch(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/);
      for (const text of ["[1,2,3]", "{}", "[250, 251", JSON.stringify(Array.from({ length: 64 }, () => 300))]) {
        await writeFile(file, text);
        const error = await keypairSignerFromFile(file).catch((failure: unknown) => failure);
        expect(String(error)).toContain("holds no Solana key pair");
        expect(String(error)).not.toContain("250");
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
