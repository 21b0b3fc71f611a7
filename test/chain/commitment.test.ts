import {
  AccountRole,
  blockhash as asBlockhash,
  type Blockhash,
  generateKeyPairSigner,
  getAddressDecoder,
  type Instruction,
  type Signature,
} from "@solana/kit";
import {
  getAdvanceNonceAccountInstruction,
  getCreateAccountInstruction,
  getInitializeNonceAccountInstruction,
  getTransferSolInstruction,
  SYSTEM_PROGRAM_ADDRESS,
} from "@solana-program/system";
import { describe, expect, it } from "vitest";
import { advance, fundedWallet, newChain, oneSol, rpcOf, send, signed } from "./wallet.ts";

describe("commitment", () => {
  it("rises by slots alone, and reads answer as of their commitment's slot", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    advance(chain, 4);
    const to = (await generateKeyPairSigner()).address;
    const signature = await send(chain, payer, [
      getTransferSolInstruction({ source: payer, destination: to, amount: oneSol }),
    ]);
    const seen = [];
    for (let slots = 0; slots <= 4; slots++) {
      const status = (await rpc.getSignatureStatuses([signature]).send()).value[0];
      const balances = [];
      for (const commitment of ["processed", "confirmed", "finalized"] as const) {
        balances.push((await rpc.getBalance(to, { commitment }).send()).value > 0n);
      }
      const found = [];
      for (const commitment of ["confirmed", "finalized"] as const) {
        const config = { commitment, maxSupportedTransactionVersion: 0, encoding: "json" } as const;
        found.push((await rpc.getTransaction(signature, config).send()) !== null);
        expect((await rpc.getSignaturesForAddress(to, { commitment }).send()).length).toBe(found.at(-1) ? 1 : 0);
      }
      seen.push([status?.confirmationStatus, status?.confirmations, ...balances, ...found]);
      advance(chain, 1);
    }
    expect(seen).toEqual([
      ["processed", 0n, true, false, false, false, false],
      ["confirmed", 1n, true, true, false, true, false],
      ["confirmed", 2n, true, true, false, true, false],
      ["confirmed", 3n, true, true, false, true, false],
      ["finalized", null, true, true, true, true, true],
    ]);
  });

  it("shows blocks with their transactions and times once they are confirmed", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    chain.advanceSlot(1_700_000_123_456);
    const transfer = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    const signature = await send(chain, payer, [transfer]);
    const slot = BigInt(chain.slot);
    await expect(rpc.getBlock(slot, { commitment: "confirmed" }).send()).rejects.toMatchObject({
      context: { __code: -32004 },
    });
    advance(chain, 1);
    const block = await rpc
      .getBlock(slot, { commitment: "confirmed", transactionDetails: "full", maxSupportedTransactionVersion: 0 })
      .send();
    expect(block?.blockTime).toBe(1_700_000_123n);
    expect(block?.transactions.map((each) => each.transaction.signatures)).toEqual([[signature]]);
    const before = await rpc.getBlock(slot - 1n, { commitment: "confirmed", transactionDetails: "signatures" }).send();
    expect(before?.blockhash).toBe(block?.previousBlockhash);
    expect(before?.signatures).toHaveLength(1);
    expect(await rpc.getBlockTime(slot).send()).toBe(1_700_000_123n);
  });

  it("refuses a context that this node has not reached", async () => {
    const chain = newChain();
    const minContextSlot = BigInt(chain.slot);
    const read = rpcOf(chain).getSlot({ commitment: "finalized", minContextSlot }).send();
    await expect(read).rejects.toMatchObject({ context: { __code: -32016, contextSlot: 0n } });
  });
});

describe("getSignaturesForAddress", () => {
  it("pages through more than 1,000 transactions by before and until, newest first", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const { address } = await generateKeyPairSigner();
    const sent: string[] = [];
    for (let each = 0; each < 1_205; each++) {
      sent.push(chain.faucet({ address, lamports: oneSol }).signature);
      if (each % 10 === 9) advance(chain, 1);
    }
    advance(chain, 1);
    const newestFirst = sent.toReversed();
    const list = async (config: { before?: Signature; until?: Signature; limit?: number }) =>
      (await rpc.getSignaturesForAddress(address, { commitment: "confirmed", ...config }).send()).map(
        (entry) => entry.signature,
      );
    const at = (index: number) => newestFirst[index] as Signature;
    const page = await list({});
    expect(page).toEqual(newestFirst.slice(0, 1_000));
    expect(await list({ before: at(999) })).toEqual(newestFirst.slice(1_000));
    expect(await list({ before: at(4), until: at(8) })).toEqual(newestFirst.slice(5, 8));
    expect(await list({ limit: 3, until: at(1_204) })).toEqual(newestFirst.slice(0, 3));
    const unknown = "1".repeat(64) as Signature;
    expect(await list({ before: unknown })).toEqual([]);
    expect(await list({ until: unknown, limit: 2 })).toEqual(newestFirst.slice(0, 2));
    await expect(list({ limit: 1_001 })).rejects.toMatchObject({ context: { __code: -32602 } });
  });
});

describe("a blockhash", () => {
  it("expires after its blocks, and then the transaction can never land", async () => {
    const chain = newChain({ blockhashLifetimeBlocks: 10 });
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    const { value: lifetime } = await rpc.getLatestBlockhash({ commitment: "processed" }).send();
    expect(lifetime.lastValidBlockHeight).toBe(BigInt(chain.slot) + 10n);
    const transfer = (amount: bigint) =>
      getTransferSolInstruction({ source: payer, destination: payer.address, amount });
    advance(chain, 10);
    await send(chain, payer, [transfer(1n)], { lifetime });
    advance(chain, 1);
    expect((await rpc.isBlockhashValid(lifetime.blockhash, { commitment: "processed" }).send()).value).toBe(false);
    await expect(send(chain, payer, [transfer(2n)], { lifetime })).rejects.toMatchObject({
      context: { __code: -32002 },
      cause: { message: "Blockhash not found" },
    });
    const signature = await send(chain, payer, [transfer(3n)], { lifetime, skipPreflight: true });
    advance(chain, 5);
    expect((await rpc.getSignatureStatuses([signature]).send()).value).toEqual([null]);
  });

  it("is unknown to a preflight at a commitment that has not reached it", async () => {
    const chain = newChain();
    advance(chain, 10);
    const payer = await fundedWallet(chain);
    const transfer = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    const { wire } = await signed(chain, payer, [transfer]);
    const sent = rpcOf(chain).sendTransaction(wire, { encoding: "base64" }).send();
    await expect(sent).rejects.toMatchObject({ context: { __code: -32002 } });
  });

  it("can be a durable nonce, which lives until it is used", async () => {
    const chain = newChain({ blockhashLifetimeBlocks: 5 });
    const payer = await fundedWallet(chain);
    const nonce = await generateKeyPairSigner();
    const nonceAccount = nonce.address;
    const space = 80;
    const lamports = chain.call("getMinimumBalanceForRentExemption", [space]) as bigint;
    await send(chain, payer, [
      getCreateAccountInstruction({
        payer,
        newAccount: nonce,
        lamports,
        space,
        programAddress: SYSTEM_PROGRAM_ADDRESS,
      }),
      getInitializeNonceAccountInstruction({ nonceAccount, nonceAuthority: payer.address }),
    ]);
    const storedNonce = () => {
      const data = chain.state.account(nonceAccount, chain.slot)?.data ?? new Uint8Array();
      return asBlockhash(getAddressDecoder().decode(data.subarray(40, 72)));
    };
    const spend = (blockhash: Blockhash, amount: bigint) =>
      send(
        chain,
        payer,
        [
          getAdvanceNonceAccountInstruction({ nonceAccount, nonceAuthority: payer }),
          getTransferSolInstruction({ source: payer, destination: payer.address, amount }),
        ],
        { lifetime: { blockhash, lastValidBlockHeight: 0n } },
      );
    const blockhash = storedNonce();
    advance(chain, 100);
    const signature = await spend(blockhash, 1n);
    expect(chain.state.history.bySignature(signature)?.execution.err).toBeNull();
    expect(storedNonce()).not.toBe(blockhash);
    const dead = { context: { __code: -32002 }, cause: { message: "Blockhash not found" } };
    await expect(spend(blockhash, 2n)).rejects.toMatchObject(dead);
    await expect(spend(asBlockhash(chain.state.genesisHash), 3n)).rejects.toMatchObject(dead);
  });

  it("makes an equal transaction a duplicate, which lands once", async () => {
    const chain = newChain();
    const payer = await fundedWallet(chain);
    const ping: Instruction = {
      programAddress: SYSTEM_PROGRAM_ADDRESS,
      accounts: [
        { address: payer.address, role: AccountRole.WRITABLE_SIGNER },
        { address: payer.address, role: AccountRole.WRITABLE },
      ],
      data: Uint8Array.of(2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0),
    };
    const before = chain.state.history.all.length;
    const signatures = [await send(chain, payer, [ping]), await send(chain, payer, [ping])];
    expect(signatures[0]).toBe(signatures[1]);
    expect(chain.state.history.all).toHaveLength(before + 1);
  });
});
