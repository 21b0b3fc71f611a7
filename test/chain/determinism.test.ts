import { createSolanaRpcFromTransport, generateKeyPairSigner, isSolanaError } from "@solana/kit";
import { getTransferSolInstruction } from "@solana-program/system";
import { describe, expect, it } from "vitest";
import type { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { type ChainFaults, faultyTransport } from "../../api/local/chain/faulty-transport.ts";
import { RpcError } from "../../api/local/chain/rpc-error.ts";
import { advance, fundedWallet, newChain, oneSol, signed } from "./wallet.ts";

/** Numbers from 0 up to 1 that a seed decides (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("the chain", () => {
  it("answers the same to the same calls, byte by byte", () => {
    const run = () => {
      const chain = newChain({ seed: "twice" });
      const answers: unknown[] = [chain.usdcMint, chain.faucetAddress];
      const address = "11111111111111111111111111111112";
      for (let round = 1n; round < 10n; round++) {
        answers.push(chain.faucet({ address, lamports: oneSol, microUsdc: round }));
        advance(chain, 2);
        answers.push(chain.call("getLatestBlockhash"));
      }
      const listed = chain.call("getSignaturesForAddress", [address]) as { signature: string }[];
      const config = { encoding: "jsonParsed", maxSupportedTransactionVersion: 0 };
      return [...answers, listed, listed.map(({ signature }) => chain.call("getTransaction", [signature, config]))];
    };
    expect(run()).toEqual(run());
    expect(newChain({ seed: "one" }).usdcMint).not.toBe(newChain({ seed: "other" }).usdcMint);
  });

  it("refuses every damaged transaction without harm", async () => {
    const chain = newChain();
    const payer = await fundedWallet(chain);
    const transfer = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    const { wire } = await signed(chain, payer, [transfer]);
    const good = Uint8Array.from(Buffer.from(wire, "base64"));
    const random = randomFrom(7);
    const whole = (limit: number) => Math.floor(random() * limit);
    const before = chain.state.history.all.length;
    for (let round = 0; round < 3_000; round++) {
      const bad = Uint8Array.from(good);
      for (let changes = whole(4); changes >= 0; changes--) bad[whole(bad.length)] = whole(256);
      const cut = round % 4 === 0 ? bad.subarray(0, whole(bad.length)) : bad;
      if (Buffer.compare(cut, good) === 0) continue;
      try {
        chain.submit(cut);
      } catch (error) {
        expect(error).toBeInstanceOf(RpcError);
      }
    }
    expect(chain.state.history.all).toHaveLength(before);
    const outside = Uint8Array.from(good);
    // One instruction, of the program at index 1, with two accounts, both at index 0, and 12 bytes of data.
    outside[Buffer.from(good).indexOf(Uint8Array.of(1, 1, 2, 0, 0, 12)) + 1] = 2;
    expect(() => chain.submit(outside)).toThrow("failed to sanitize");
    chain.submit(good);
    expect(chain.state.history.all).toHaveLength(before + 1);
  });
});

describe("faults", () => {
  /** What a client meets in a fixed series of calls. */
  async function meet(chain: DevelopmentChain, faults: Partial<ChainFaults>, seed: number, address: string) {
    const rpc = createSolanaRpcFromTransport(faultyTransport(chain, faults, randomFrom(seed)));
    const [newest] = chain.state.history.all.slice(-1);
    const outcomes: string[] = [];
    for (let round = 0; round < 40; round++) {
      const calls = [
        () => rpc.getSignaturesForAddress(address as never, { commitment: "confirmed" }).send(),
        () =>
          rpc
            .getTransaction(newest?.signature as never, {
              commitment: "confirmed",
              maxSupportedTransactionVersion: 0,
              encoding: "json",
            })
            .send(),
        () => rpc.getBalance(address as never, { commitment: "processed" }).send(),
      ];
      for (const make of calls) {
        outcomes.push(
          await make().then(
            (result) => JSON.stringify(result, (_key, value) => (typeof value === "bigint" ? value.toString() : value)),
            (error: unknown) => (isSolanaError(error) ? `code ${error.context.__code}` : String(error)),
          ),
        );
      }
    }
    return outcomes;
  }

  async function chainWithHistory() {
    const chain = newChain();
    const { address } = await generateKeyPairSigner();
    for (let each = 0; each < 12; each++) {
      chain.faucet({ address, lamports: oneSol });
      if (each % 3 === 0) advance(chain, 1);
    }
    advance(chain, 1);
    return { chain, address };
  }

  it("are absent without being asked for", async () => {
    const { chain, address } = await chainWithHistory();
    const outcomes = await meet(chain, {}, 1, address);
    expect(new Set(outcomes).size).toBe(3);
  });

  it.each([
    ["droppedRequest", "TypeError: The request was lost"],
    ["droppedResponse", "TypeError: The response was lost"],
    ["rateLimit", "code 8100002"],
    ["unsupportedVersion", "code -32015"],
    ["minContextSlot", "code -32016"],
    ["missingTransaction", "null"],
  ] as const)("of the kind %s appear at their rate and are repeated by their seed", async (kind, sign) => {
    const { chain, address } = await chainWithHistory();
    const outcomes = await meet(chain, { [kind]: 0.3 }, 5, address);
    const met = outcomes.filter((outcome) => outcome === sign).length;
    expect(met).toBeGreaterThan(2);
    expect(met).toBeLessThan(80);
    expect(await meet(chain, { [kind]: 0.3 }, 5, address)).toEqual(outcomes);
    expect(await meet(chain, { [kind]: 0.3 }, 6, address)).not.toEqual(outcomes);
  });

  it.each(["laggingNode", "truncatedSignatures", "reorderedSignatures"] as const)(
    "of the kind %s give other answers, never invented ones",
    async (kind) => {
      const { chain, address } = await chainWithHistory();
      const outcomes = await meet(chain, { [kind]: 0.5 }, 3, address);
      expect(new Set(outcomes).size).toBeGreaterThan(4);
      const known = new Set(chain.state.history.all.map((record) => record.signature));
      for (const outcome of outcomes) {
        for (const [, signature] of outcome.matchAll(/"signature":"(\w{80,90})"/g)) expect(known).toContain(signature);
      }
    },
  );

  it("that lose the response leave the effect, and a second delivery lands once", async () => {
    const chain = newChain();
    const payer = await fundedWallet(chain);
    const transfer = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    const { wire, signature } = await signed(chain, payer, [transfer]);
    const faults = { droppedResponse: 1, duplicateDelivery: 1 };
    const rpc = createSolanaRpcFromTransport(faultyTransport(chain, faults, randomFrom(1)));
    const before = chain.state.history.all.length;
    const sent = rpc.sendTransaction(wire, { encoding: "base64", preflightCommitment: "processed" }).send();
    await expect(sent).rejects.toThrow("The response was lost");
    expect(chain.state.history.bySignature(signature)?.execution.err).toBeNull();
    expect(chain.state.history.all).toHaveLength(before + 1);
  });
});
