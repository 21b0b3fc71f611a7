import { createSolanaRpcFromTransport, type RpcTransport, SolanaError } from "@solana/kit";
import { getTransferSolInstruction } from "@solana-program/system";
import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readTransaction } from "../../api/chain/read-transaction.ts";
import { rpcChain } from "../../api/chain/rpc.ts";
import { ChainError } from "../../api/ports/chain.ts";
import { advance, fundedWallet, newChain, rpcOf, send, usdcAccountOf } from "../chain/wallet.ts";

const SIGNATURE = "5h6xBEauJ3PK6SWCZ1PGjBvj8vDdWG3KpwATGy1ARAXFSDwt8GFXM7W5Ncn16wmqokgpiKRLuS83KUxyZyv2sUYv";
const clock = { nowMs: () => 0, sleep: async () => undefined };

interface Call {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** A chain over a node that answers as the test says: a result, or an error of JSON-RPC. */
function chainOf(answer: (call: Call, count: number) => unknown) {
  const calls: Call[] = [];
  const transport = (async ({ payload }) => {
    const call = payload as Call;
    calls.push(call);
    const result = await answer(call, calls.length);
    return result instanceof RpcFault
      ? { jsonrpc: "2.0", id: 1, error: { code: result.code, message: "no", data: { err: "AccountNotFound" } } }
      : { jsonrpc: "2.0", id: 1, result };
  }) as RpcTransport;
  return { calls, chain: rpcChain(createSolanaRpcFromTransport(transport), { clock, timeoutMs: 50 }) };
}

class RpcFault {
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
}

const transfer = {
  slot: 7,
  blockTime: 1_700_000_000,
  version: 1,
  transaction: {
    signatures: [SIGNATURE],
    message: {
      accountKeys: ["payer", TOKEN_PROGRAM_ADDRESS],
      instructions: [
        { programIdIndex: 1, accounts: [0, 2, 3], data: "3Bxs4h24hBtQy9rw" },
        { programIdIndex: 1, accounts: [], data: "" },
      ],
    },
  },
  meta: {
    err: null,
    fee: 5000,
    innerInstructions: [{ index: 0, instructions: [{ programIdIndex: 1, accounts: [3], data: "2" }] }],
    loadedAddresses: { writable: ["loaded-writable"], readonly: ["loaded-readonly"] },
    preTokenBalances: [],
    postTokenBalances: [
      {
        accountIndex: 2,
        mint: "mint",
        owner: "owner",
        programId: TOKEN_PROGRAM_ADDRESS,
        uiTokenAmount: { amount: "18446744073709551615", decimals: 6, uiAmountString: "x" },
      },
    ],
  },
};

describe("a transaction as a node tells of it", () => {
  test("has its keys resolved, those of lookup tables too, and inner instructions in order of execution", () => {
    const read = readTransaction(SIGNATURE, transfer);
    expect(read.accountKeys).toEqual(["payer", TOKEN_PROGRAM_ADDRESS, "loaded-writable", "loaded-readonly"]);
    expect(read.instructions.map(({ accounts }) => accounts)).toEqual([
      ["payer", "loaded-writable", "loaded-readonly"],
      ["loaded-readonly"],
      [],
    ]);
    expect(read.postTokenBalances).toMatchObject([{ amount: 2n ** 64n - 1n }]);
    expect(read).toMatchObject({ slot: 7n, failed: false, blockTimeSeconds: 1_700_000_000 });
  });

  test.each([
    ["a string", "err"],
    ["an object", { InstructionError: [0, { Custom: 1 }] }],
  ])("has failed when its error is %s", (_name, err) => {
    expect(readTransaction(SIGNATURE, { ...transfer, meta: { ...transfer.meta, err } }).failed).toBe(true);
  });

  test("without the word that it succeeded is not understood, never taken for a success", () => {
    const { err: _err, ...meta } = transfer.meta;
    expect(() => readTransaction(SIGNATURE, { ...transfer, meta })).toThrow(ChainError);
  });

  test("that is garbage is a ChainError, whatever it is", () => {
    const garbage = fc.oneof(
      fc.anything({ withBigInt: true }),
      fc.record({ ...Object.fromEntries(Object.keys(transfer).map((key) => [key, fc.anything()])) }),
    );
    fc.assert(
      fc.property(garbage, (raw) => {
        try {
          readTransaction(SIGNATURE, raw);
        } catch (error) {
          expect(error).toBeInstanceOf(ChainError);
        }
      }),
    );
  });
});

describe("the node", () => {
  test("that doesn't take a version is asked for a lower one, and from then on at once", async () => {
    const { chain, calls } = chainOf(({ params }) => {
      const { maxSupportedTransactionVersion } = params[1] as { maxSupportedTransactionVersion: number };
      return maxSupportedTransactionVersion > 0 ? new RpcFault(-32602) : transfer;
    });
    expect(await chain.transaction(SIGNATURE, "confirmed")).toMatchObject({ signature: SIGNATURE });
    expect(calls).toHaveLength(3);
    await chain.transaction(SIGNATURE, "confirmed");
    expect(calls).toHaveLength(4);
  });

  test("that can't show a version at all is an error, never a missing transaction", async () => {
    const { chain } = chainOf(() => new RpcFault(-32015));
    await expect(chain.transaction(SIGNATURE, "confirmed")).rejects.toThrow(ChainError);
  });

  test("is asked again when it doesn't answer, three times at most", async () => {
    const { chain, calls } = chainOf((_call, count) => {
      if (count < 3) throw new TypeError("fetch failed");
      return 42;
    });
    expect(await chain.slot("confirmed")).toBe(42n);
    expect(calls).toHaveLength(3);
    const dead = chainOf(() => {
      throw new TypeError("fetch failed");
    });
    await expect(dead.chain.slot("confirmed")).rejects.toThrow(ChainError);
    expect(dead.calls).toHaveLength(3);
  });

  test("that never answers is given up after the time limit", async () => {
    const transport = (({ signal }) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
      })) as RpcTransport;
    const chain = rpcChain(createSolanaRpcFromTransport(transport), { clock, timeoutMs: 10, tries: 2 });
    await expect(chain.slot("confirmed")).rejects.toThrow(ChainError);
  });

  test("that refuses what it understood isn't asked again", async () => {
    const { chain, calls } = chainOf(() => new RpcFault(-32002));
    await expect(chain.sendTransaction("AA==")).rejects.toThrow(ChainError);
    expect(calls).toHaveLength(1);
  });

  test("that calls a transaction processed already has done what was asked", async () => {
    const error = new SolanaError(7050007);
    const { chain } = chainOf(() => {
      throw error;
    });
    await chain.sendTransaction("AA==");
  });

  test("that tells nonsense is an error", async () => {
    const { chain } = chainOf(({ method }) => (method === "getSignaturesForAddress" ? [{ nonsense: 1 }] : null));
    const options = { commitment: "confirmed" } as const;
    await expect(chain.signaturesForAddress(TOKEN_PROGRAM_ADDRESS, options)).rejects.toThrow(ChainError);
  });
});

describe("the chain itself", () => {
  test("answers every question of the port", async () => {
    const local = newChain();
    const chain = rpcChain(rpcOf(local), { clock });
    const payer = await fundedWallet(local, 7n);
    const instruction = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    const signature = await send(local, payer, [instruction]);
    expect(await chain.signatureStatus(signature)).toEqual({ commitment: "processed", failed: false });
    advance(local, 1);
    expect(await chain.signatureStatus(signature)).toEqual({ commitment: "confirmed", failed: false });
    expect(await chain.transaction(signature, "finalized")).toBeNull();
    expect(await chain.signaturesForAddress(payer.address, { commitment: "confirmed", limit: 1 })).toMatchObject([
      { signature, failed: false },
    ]);
    advance(local, 4);
    expect(await chain.signatureStatus(signature)).toEqual({ commitment: "finalized", failed: false });
    const account = await usdcAccountOf(local, payer.address);
    expect(await chain.tokenBalance(account, "finalized")).toBe(7n);
    expect(await chain.tokenBalance(payer.address, "finalized")).toBeNull();
    expect(await chain.tokenBalance(local.usdcMint, "finalized").catch((error) => error)).toBeInstanceOf(ChainError);
    expect(await chain.accountOwner(account)).toBe(TOKEN_PROGRAM_ADDRESS);
    expect(await chain.accountOwner(await usdcAccountOf(local, local.usdcMint))).toBeNull();
    const { lastValidBlockHeight } = await chain.latestBlockhash();
    expect(lastValidBlockHeight).toBeGreaterThan(await chain.blockHeight("confirmed"));
    expect(await chain.slot("finalized")).toBeLessThan(await chain.slot("confirmed"));
    const unknown = await chain.signatureStatus(SIGNATURE);
    expect(unknown).toBeNull();
  });
});
