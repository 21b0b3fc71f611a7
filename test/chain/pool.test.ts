import { createSolanaRpcFromTransport, getBase64EncodedWireTransaction } from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../api/adapters/system-clock.ts";
import { openChain } from "../../api/chain/open-chain.ts";
import { chainPool, poolAt } from "../../api/chain/pool.ts";
import { listSignatures } from "../../api/payments/inbound/list-signatures.ts";
import { ChainError, TWO_NODES } from "../../api/ports/chain.ts";
import { FaultyNode } from "./faulty-node.ts";
import { advance, fundedWallet, newChain, send, signed, usdcAccountOf } from "./wallet.ts";

/** A pool over so many nodes of one chain, and what it counted. */
function poolOver(count: number, chain = newChain()) {
  const counts = new Map<string, number>();
  const nodes = Array.from({ length: count }, () => new FaultyNode(chain));
  const metrics = {
    count: (name: string, labels: Readonly<Record<string, string>> = {}) => {
      const key = `${name} ${Object.values(labels).join(" ")}`.trim();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    gauge: () => undefined,
    observe: () => undefined,
  };
  const named = nodes.map(({ transport }, index) => ({
    name: `${index}`,
    rpc: createSolanaRpcFromTransport(transport),
  }));
  const pool = chainPool(named, { clock: systemClock, metrics, timeoutMs: 50 });
  const [first, second, third] = nodes as [FaultyNode, FaultyNode, FaultyNode];
  return { chain, pool, counts, first, second, third };
}

async function paidOnce(chain = newChain()) {
  const payer = await fundedWallet(chain);
  const signature = await send(chain, payer, [getAddMemoInstruction({ memo: "once" })]);
  advance(chain, 5);
  return { payer, signature };
}

describe("a pool of nodes", () => {
  test("asks the next node when one fails, and lets that one rest", async () => {
    const { chain, pool, counts, first, second } = poolOver(2);
    first.fault = "down";
    expect(await pool.slot("confirmed")).toBe(BigInt(chain.slot - 1));
    expect(await pool.slot("confirmed")).toBe(BigInt(chain.slot - 1));
    expect(first.calls.get("getSlot")).toBe(1);
    expect(second.calls.get("getSlot")).toBe(2);
    expect(counts.get("volley_chain_node_calls_total 0 failed")).toBe(1);
  });

  test("believes that a transaction isn't there only when no node has it", async () => {
    const { chain, pool, first } = poolOver(2);
    const { signature } = await paidOnce(chain);
    first.fault = "answers null";
    expect(await pool.transaction(signature, "finalized")).toMatchObject({ signature });
    expect(await pool.signatureStatus(signature, TWO_NODES)).toMatchObject({ commitment: "finalized" });
    await expect(pool.transaction(signature, "finalized", TWO_NODES)).rejects.toThrow(ChainError);
  });

  test("gives no answer for which there is no quorum, and counts that", async () => {
    const { chain, pool, counts, first, second } = poolOver(3);
    const { signature } = await paidOnce(chain);
    first.fault = "calls all failed";
    expect(await pool.transaction(signature, "finalized", TWO_NODES)).toMatchObject({ failed: false });
    second.fault = "down";
    await expect(pool.transaction(signature, "finalized", TWO_NODES)).rejects.toThrow("do not agree");
    await expect(pool.transaction(signature, "finalized")).rejects.toThrow("do not agree");
    expect(counts.get("volley_chain_quorum_failures_total")).toBeGreaterThan(0);
  });

  test("believes that an account is frozen only when two say so", async () => {
    const { chain, pool, first, second } = poolOver(3);
    const account = await usdcAccountOf(chain, (await fundedWallet(chain)).address);
    advance(chain, 5);
    first.fault = "calls accounts frozen";
    expect(await pool.tokenAccount(account, TWO_NODES)).toMatchObject({ isFrozen: false });
    second.fault = "calls accounts frozen";
    expect(await pool.tokenAccount(account, TWO_NODES)).toMatchObject({ isFrozen: true });
    second.fault = "down";
    await expect(pool.tokenAccount(account, TWO_NODES)).rejects.toThrow("do not agree");
  });

  test("of one node is a quorum of its own", async () => {
    const { chain, pool } = poolOver(1);
    const { signature } = await paidOnce(chain);
    expect(await pool.transaction(signature, "finalized", TWO_NODES)).toMatchObject({ signature });
    expect(await pool.slot("finalized", TWO_NODES)).toBe(BigInt(chain.slot - 4));
  });

  test("refuses answers older than what two nodes have reached", async () => {
    const { chain, pool, counts, first } = poolOver(3);
    advance(chain, 60);
    const { payer } = await paidOnce(chain);
    await pool.slot("finalized", TWO_NODES);
    first.fault = "lags";
    const account = await usdcAccountOf(chain, payer.address);
    expect(await pool.tokenBalance(account, "finalized", TWO_NODES)).toBe(100_000_000n);
    expect(await pool.slot("finalized")).toBe(BigInt(chain.slot - 4));
    expect(counts.get("volley_chain_node_calls_total 0 lagging")).toBeGreaterThan(0);
  });

  test("isn't led astray by a node from the future", async () => {
    const { chain, pool, first } = poolOver(3);
    first.fault = "slots from the future";
    for (let asked = 0; asked < 3; asked++) {
      expect(await pool.slot("finalized", TWO_NODES)).toBe(BigInt(chain.slot - 4));
      expect(await pool.blockHeight("finalized", TWO_NODES)).toBe(BigInt(chain.slot - 4));
    }
    const { lastValidBlockHeight } = await pool.latestBlockhash();
    expect(lastValidBlockHeight).toBeLessThan(BigInt(chain.slot + 151));
  });

  test("signs nothing with a blockhash about which its only two nodes contradict each other", async () => {
    const { chain, pool, first } = poolOver(2);
    advance(chain, 6_000);
    first.fault = "slots from the past";
    await expect(pool.latestBlockhash()).rejects.toThrow(ChainError);
    first.fault = "down";
    expect(await pool.latestBlockhash()).toMatchObject({ lastValidBlockHeight: BigInt(chain.slot - 1 + 150) });
  });

  test("lists a long history whole, whatever one node leaves out on each page", async () => {
    const { chain, pool, first, second } = poolOver(2);
    const payer = await fundedWallet(chain);
    const sent = new Set<string>();
    for (let count = 0; count < 1_300; count++) {
      if (count % 50 === 0) advance(chain, 1);
      sent.add(await send(chain, payer, [getAddMemoInstruction({ memo: `${count}` })]));
    }
    advance(chain, 5);
    for (const [one, other] of [
      ["truncates lists", null],
      ["reorders and repeats lists", "truncates lists"],
      ["lists nothing", null],
      ["lists all as failed", null],
    ] as const) {
      first.fault = one;
      second.fault = other;
      const { entries, complete } = await listSignatures(pool, payer.address, { pagesMax: 9, commitment: "finalized" });
      const listed = entries.filter((entry) => !entry.failed).map((entry) => entry.signature);
      expect(new Set(listed)).toEqual(new Set([...sent, ...listed]));
      expect(new Set(listed).size).toBe(listed.length);
      expect(complete).toBe(true);
    }
  });

  test("sends to all nodes, and one that takes it is enough", async () => {
    const { chain, pool, first, second } = poolOver(2);
    const payer = await fundedWallet(chain);
    advance(chain, 1);
    const { transaction, signature } = await signed(chain, payer, [getAddMemoInstruction({ memo: "sent" })]);
    advance(chain, 1);
    first.fault = "rate limits";
    await pool.sendTransaction(getBase64EncodedWireTransaction(transaction));
    expect(await pool.signatureStatus(signature)).toMatchObject({ failed: false });
    expect(second.calls.get("sendTransaction")).toBe(1);
    second.fault = "down";
    await expect(pool.sendTransaction(getBase64EncodedWireTransaction(transaction))).rejects.toThrow(ChainError);
  });

  test("answers over HTTP while one of its nodes is gone, one hangs and one is well", async () => {
    const chain = newChain();
    const nodes = [new FaultyNode(chain), new FaultyNode(chain), new FaultyNode(chain)];
    const servers = await Promise.all(nodes.map((node) => node.listen()));
    try {
      const metrics = { count: () => undefined, gauge: () => undefined, observe: () => undefined };
      const urls = servers.map(({ url }) => url);
      const pool = poolAt(urls, { clock: systemClock, metrics, timeoutMs: 200 });
      expect(await pool.slot("confirmed", TWO_NODES)).toBe(BigInt(chain.slot - 1));
      const [down, hanging] = nodes as [FaultyNode, FaultyNode];
      down.fault = "down";
      hanging.fault = "hangs";
      expect(await pool.slot("confirmed")).toBe(BigInt(chain.slot - 1));
      await expect(pool.slot("confirmed", TWO_NODES)).rejects.toThrow(ChainError);
    } finally {
      for (const server of servers) await server.close();
    }
  });
});

test("a start with one node of somebody else's says so; with the own one of this machine or with three it says nothing", () => {
  const warnings: string[] = [];
  const logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (sentence: string) => warnings.push(sentence),
    error: () => undefined,
    with: () => logger,
  };
  const metrics = { count: () => undefined, gauge: () => undefined, observe: () => undefined, render: async () => "" };
  const services = { clock: systemClock, logger, metrics };
  openChain({ solanaRpcUrls: ["http://127.0.0.1:1"] }, services);
  expect(warnings).toEqual([]);
  openChain({ solanaRpcUrls: ["http://a.test"] }, services);
  expect(warnings).toHaveLength(1);
  openChain({ solanaRpcUrls: ["http://a.test", "http://b.test", "http://c.test"] }, services);
  expect(warnings).toHaveLength(1);
});
