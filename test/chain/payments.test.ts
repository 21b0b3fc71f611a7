import { AccountRole, type Address, address, generateKeyPairSigner, type Instruction } from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { getTransferSolInstruction } from "@solana-program/system";
import {
  fetchMint,
  fetchToken,
  getCreateAssociatedTokenInstructionAsync,
  getTransferCheckedInstruction,
} from "@solana-program/token";
import { describe, expect, it } from "vitest";
import { advance, fundedWallet, newChain, oneUsdc, rpcOf, send, usdcAccountOf } from "./wallet.ts";

/** A transfer with references behind it, as Solana Pay asks of wallets. */
function withReferences(transfer: Instruction, references: Address[]): Instruction {
  const accounts = references.map((reference) => ({ address: reference, role: AccountRole.READONLY }));
  return { ...transfer, accounts: [...(transfer.accounts ?? []), ...accounts] };
}

describe("a USDC payment by a wallet", () => {
  it("creates the token account, pays with reference and memo, and reads back in every form", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    const shop = (await generateKeyPairSigner()).address;
    const reference = (await generateKeyPairSigner()).address;
    const source = await usdcAccountOf(chain, payer.address);
    const destination = await usdcAccountOf(chain, shop);
    const transfer = getTransferCheckedInstruction({
      source,
      mint: chain.usdcMint,
      destination,
      authority: payer,
      amount: 12_500_000n,
      decimals: 6,
    });
    const signature = await send(chain, payer, [
      await getCreateAssociatedTokenInstructionAsync({ payer, owner: shop, mint: chain.usdcMint }),
      getAddMemoInstruction({ memo: "Zahlung für ☕" }),
      withReferences(transfer, [reference]),
    ]);
    advance(chain, 1);

    expect(await rpc.getSignaturesForAddress(reference, { commitment: "confirmed" }).send()).toMatchObject([
      { signature, err: null, memo: "[16] Zahlung für ☕", confirmationStatus: "confirmed" },
    ]);
    const read = await rpc
      .getTransaction(signature, { encoding: "jsonParsed", commitment: "confirmed", maxSupportedTransactionVersion: 0 })
      .send();
    if (read?.meta == null) throw new Error("The transaction is missing");
    const keys = read.transaction.message.accountKeys.map((key) => key.pubkey);
    const destinationIndex = keys.indexOf(destination);
    expect(read.meta.err).toBeNull();
    expect(read.meta.fee).toBe(5_000n);
    expect(read.meta.preTokenBalances?.some((balance) => balance.accountIndex === destinationIndex)).toBe(false);
    expect(read.meta.postTokenBalances?.find((balance) => balance.accountIndex === destinationIndex)).toEqual({
      accountIndex: destinationIndex,
      mint: chain.usdcMint,
      owner: shop,
      programId: "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
      uiTokenAmount: { amount: "12500000", decimals: 6, uiAmount: 12.5, uiAmountString: "12.5" },
    });
    const spent = read.meta.postBalances.map((post, index) => (read.meta?.preBalances[index] ?? 0n) - post);
    expect(spent.reduce((sum, each) => sum + each, 0n)).toBe(read.meta.fee);
    expect(read.transaction.message.instructions[1]).toMatchObject({ program: "spl-memo", parsed: "Zahlung für ☕" });
    expect(read.transaction.message.instructions[2]).toMatchObject({
      program: "spl-token",
      parsed: {
        type: "transferChecked",
        info: {
          source,
          destination,
          mint: chain.usdcMint,
          multisigAuthority: payer.address,
          signers: [reference],
          tokenAmount: { amount: "12500000", decimals: 6n, uiAmountString: "12.5" },
        },
      },
    });
    expect(read.meta.innerInstructions).toMatchObject([
      {
        index: 0,
        instructions: [
          { parsed: { type: "getAccountDataSize" } },
          { program: "system", parsed: { type: "createAccount", info: { newAccount: destination } } },
          { parsed: { type: "initializeImmutableOwner" } },
          { parsed: { type: "initializeAccount3", info: { owner: shop } } },
        ],
      },
    ]);

    const json = await rpc
      .getTransaction(signature, { encoding: "json", commitment: "confirmed", maxSupportedTransactionVersion: 0 })
      .send();
    expect(json?.transaction.message.accountKeys).toEqual(keys);
    expect(json?.transaction.message.header.numRequiredSignatures).toBe(1);
    expect(Number(json?.version)).toBe(0);
    expect((await fetchToken(rpc, destination, { commitment: "confirmed" })).data.amount).toBe(12_500_000n);
    expect((await fetchMint(rpc, chain.usdcMint, { commitment: "confirmed" })).data.decimals).toBe(6);
  });

  it("shows two transfers with two references in one transaction, and the reference of each", async () => {
    const chain = newChain();
    const payer = await fundedWallet(chain);
    const shop = await fundedWallet(chain);
    const references = [(await generateKeyPairSigner()).address, (await generateKeyPairSigner()).address] as const;
    const [source, destination] = [await usdcAccountOf(chain, payer.address), await usdcAccountOf(chain, shop.address)];
    const pay = (amount: bigint, reference: Address) =>
      withReferences(
        getTransferCheckedInstruction({
          source,
          mint: chain.usdcMint,
          destination,
          authority: payer,
          amount,
          decimals: 6,
        }),
        [reference],
      );
    const signature = await send(chain, payer, [pay(1n, references[0]), pay(2n * oneUsdc, references[1])]);
    advance(chain, 1);
    for (const reference of references) {
      const listed = await rpcOf(chain).getSignaturesForAddress(reference, { commitment: "confirmed" }).send();
      expect(listed.map((entry) => entry.signature)).toEqual([signature]);
    }
  });
});

describe("a transaction that fails", () => {
  it("lands when preflight is skipped: error, fee and place in the history, and no money moved", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain, oneUsdc);
    const shop = await fundedWallet(chain);
    const reference = (await generateKeyPairSigner()).address;
    const transfer = getTransferCheckedInstruction({
      source: await usdcAccountOf(chain, payer.address),
      mint: chain.usdcMint,
      destination: await usdcAccountOf(chain, shop.address),
      authority: payer,
      amount: 2n * oneUsdc,
      decimals: 6,
    });
    const signature = await send(chain, payer, [withReferences(transfer, [reference])], { skipPreflight: true });
    advance(chain, 1);
    const err = { InstructionError: [0, { Custom: 1 }] };
    const [listed] = await rpc.getSignaturesForAddress(reference, { commitment: "confirmed" }).send();
    expect(listed?.signature).toBe(signature);
    expect(listed?.err).toEqual({ InstructionError: [0n, { Custom: 1n }] });
    expect(
      chain.call("getTransaction", [signature, { commitment: "confirmed", maxSupportedTransactionVersion: 0 }]),
    ).toMatchObject({ meta: { err, fee: 5_000n, status: { Err: err } } });
    const { value } = await rpc
      .getTokenAccountBalance(await usdcAccountOf(chain, payer.address), { commitment: "confirmed" })
      .send();
    expect(value.amount).toBe("1000000");
  });

  it("is refused by preflight with what the virtual machine said, and leaves no trace", async () => {
    const chain = newChain();
    const payer = await fundedWallet(chain);
    const transfer = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 10n ** 18n });
    await expect(send(chain, payer, [transfer])).rejects.toMatchObject({
      context: { __code: -32002, logs: expect.arrayContaining([expect.stringContaining("insufficient lamports")]) },
    });
    expect(chain.state.history.all).toHaveLength(1);
  });

  it("does not land without a payer that has the fee", async () => {
    const chain = newChain();
    const poor = await generateKeyPairSigner();
    const transfer = getTransferSolInstruction({ source: poor, destination: poor.address, amount: 0n });
    await expect(send(chain, poor, [transfer])).rejects.toMatchObject({ context: { __code: -32002 } });
    const signature = await send(chain, poor, [transfer], { skipPreflight: true });
    advance(chain, 1);
    expect(chain.call("getSignatureStatuses", [[signature]])).toMatchObject({ value: [null] });
    expect(address(poor.address)).toBe(poor.address);
  });
});
