import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { signature as asSignature, createSolanaRpc, generateKeyPairSigner } from "@solana/kit";
import { afterEach, describe, expect, it } from "vitest";
import { ChainFolder } from "../../api/local/chain/chain-folder.ts";
import type { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { startDevelopmentChain } from "../../api/local/chain/start-development-chain.ts";
import { advance, newChain, oneSol, oneUsdc } from "./wallet.ts";

const folders: string[] = [];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "volley-chain-"));
  folders.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** Everything that a client can see of an address, at every commitment. */
function visible(chain: DevelopmentChain, address: string): unknown {
  const seen = [];
  for (const commitment of ["processed", "confirmed", "finalized"]) {
    seen.push(chain.call("getSlot", [{ commitment }]));
    seen.push(chain.call("getLatestBlockhash", [{ commitment }]));
    seen.push(chain.call("getBalance", [address, { commitment }]));
    const config = { commitment, encoding: "jsonParsed" };
    seen.push(chain.call("getTokenAccountsByOwner", [address, { mint: chain.usdcMint }, config]));
  }
  const listed = chain.call("getSignaturesForAddress", [address, { commitment: "confirmed" }]);
  const signatures = (listed as { signature: string }[]).map((entry) => entry.signature);
  const config = { commitment: "confirmed", encoding: "jsonParsed", maxSupportedTransactionVersion: 0 };
  return [seen, listed, signatures.map((signature) => chain.call("getTransaction", [signature, config]))];
}

async function busyChain() {
  const { address } = await generateKeyPairSigner();
  const chain = newChain();
  for (let round = 1n; round <= 6n; round++) {
    chain.faucet({ address, lamports: round * oneSol, microUsdc: round * oneUsdc });
    advance(chain, 1);
  }
  return { chain, address };
}

describe("a snapshot", () => {
  it("continues the chain as if nothing had happened", async () => {
    const { chain, address } = await busyChain();
    const restored = newChain({ snapshot: chain.snapshot() });
    expect(visible(restored, address)).toEqual(visible(chain, address));
    for (const each of [chain, restored]) {
      each.faucet({ address, lamports: 5n });
      advance(each, 3);
    }
    expect(visible(restored, address)).toEqual(visible(chain, address));
  });

  it("is refused by a chain of another seed", async () => {
    const { chain } = await busyChain();
    expect(() => newChain({ seed: "another", snapshot: chain.snapshot() })).toThrow("another chain");
  });
});

describe("a chain's folder", () => {
  it("repeats what happened after the snapshot, and ignores a torn end", async () => {
    const path = newFolder();
    const folder = new ChainFolder(path);
    const chain = newChain();
    folder.save(chain.snapshot());
    chain.listen({ onInput: (input) => folder.append(input) });
    const { address } = await generateKeyPairSigner();
    chain.faucet({ address, lamports: oneSol, microUsdc: oneUsdc });
    advance(chain, 2);
    chain.faucet({ address, lamports: oneSol });
    folder.close();
    const [journal] = readdirSync(path).filter((name) => name.startsWith("chain.journal"));
    appendFileSync(join(path, journal ?? ""), Buffer.from([200, 0, 0, 0, 1, 2, 3, 4, 2, 9]));

    const saved = new ChainFolder(path).load();
    const restored = newChain(saved === null ? {} : { snapshot: saved.snapshot });
    for (const input of saved?.inputs ?? []) restored.repeat(input);
    expect(saved?.inputs).toHaveLength(4);
    expect(visible(restored, address)).toEqual(visible(chain, address));

    const damaged = readFileSync(join(path, journal ?? ""));
    const lastOfWhole = damaged.length - 11;
    damaged[lastOfWhole] = (damaged[lastOfWhole] ?? 0) ^ 1;
    writeFileSync(join(path, journal ?? ""), damaged);
    expect(new ChainFolder(path).load()?.inputs).toEqual(saved?.inputs.slice(0, 3));
  });

  it("is whole at every moment of replacing the snapshot", async () => {
    const path = newFolder();
    const folder = new ChainFolder(path);
    const chain = newChain();
    folder.save(chain.snapshot());
    chain.listen({ onInput: (input) => folder.append(input) });
    advance(chain, 3);
    folder.close();
    // Killed while the next snapshot was being written: only a draft of it exists.
    writeFileSync(join(path, "chain.snapshot.draft"), "half a snap");
    expect(new ChainFolder(path).load()?.inputs).toHaveLength(3);
    // Killed after the snapshot was in place and before the old journal went away: its entries are in the snapshot.
    const reopened = new ChainFolder(path);
    reopened.load();
    const [old] = readdirSync(path).filter((name) => name.startsWith("chain.journal"));
    const oldJournal = readFileSync(join(path, old ?? ""));
    reopened.save(chain.snapshot());
    reopened.close();
    writeFileSync(join(path, old ?? ""), oldJournal);
    expect(new ChainFolder(path).load()?.inputs).toEqual([]);
  });

  it("says so when its snapshot is damaged", () => {
    const path = newFolder();
    const folder = new ChainFolder(path);
    folder.save(newChain().snapshot());
    folder.close();
    appendFileSync(join(path, "chain.snapshot"), "x");
    expect(() => new ChainFolder(path).load()).toThrow("is damaged");
  });
});

describe("a restart of the server", () => {
  it("keeps transactions, balances and the pace of slots", async () => {
    const dataFolder = newFolder();
    const { address } = await generateKeyPairSigner();
    const options = { dataFolder, slotMs: 10, slotsToFinalize: 4 };
    const first = await startDevelopmentChain(options);
    const { signature } = first.chain.faucet({ address, lamports: oneSol, microUsdc: 7n });
    const slot = first.chain.slot;
    await first.close();
    const second = await startDevelopmentChain(options);
    const rpc = createSolanaRpc(second.rpcUrl);
    expect((await rpc.getBalance(address, { commitment: "processed" }).send()).value).toBe(oneSol);
    expect((await rpc.getSignatureStatuses([asSignature(signature)]).send()).value[0]?.err).toBeNull();
    expect(await rpc.getSlot({ commitment: "processed" }).send()).toBeGreaterThanOrEqual(BigInt(slot));
    await second.close();
  });

  it("on a port in use fails, and leaves the folder of the running one alone", async () => {
    const dataFolder = newFolder();
    const { address } = await generateKeyPairSigner();
    const first = await startDevelopmentChain({ dataFolder, slotMs: 10 });
    const port = Number(new URL(first.rpcUrl).port);
    first.chain.faucet({ address, lamports: oneSol });
    await expect(startDevelopmentChain({ dataFolder, port })).rejects.toMatchObject({ code: "EADDRINUSE" });
    const entries = new ChainFolder(dataFolder).load()?.inputs.filter((input) => input.kind === "transaction");
    expect(entries).toHaveLength(1);
    await first.close();
  });

  it("loses nothing that was answered before a kill", async () => {
    const dataFolder = newFolder();
    const program = fileURLToPath(new URL("./killed-server.ts", import.meta.url));
    const child = spawn(process.execPath, [program, dataFolder], { stdio: ["ignore", "pipe", "inherit"] });
    const answered: { address: string; signature: string; slot: number }[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      answered.push(JSON.parse(line));
      // In the middle of its work, at no moment that it chose.
      if (answered.length === 50) child.kill("SIGKILL");
    }
    expect(answered.length).toBeGreaterThanOrEqual(50);
    const server = await startDevelopmentChain({ dataFolder, slotMs: 1_000, slotsToFinalize: 4 });
    try {
      for (const { address, signature, slot } of answered) {
        expect(server.chain.state.history.bySignature(signature)?.slot).toBe(slot);
        expect(server.chain.call("getBalance", [address, { commitment: "processed" }])).toMatchObject({
          value: 1_000_000n,
        });
        expect(server.chain.slot).toBeGreaterThanOrEqual(slot);
      }
    } finally {
      await server.close();
    }
  });
});
