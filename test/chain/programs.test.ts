import {
  AccountRole,
  type Address,
  address,
  estimateComputeUnitLimitFactory,
  fetchAddressesForLookupTables,
  generateKeyPairSigner,
  getAddressEncoder,
  getProgramDerivedAddress,
  getU64Encoder,
  type Instruction,
  type KeyPairSigner,
} from "@solana/kit";
import { getTransferSolInstruction } from "@solana-program/system";
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenInstructionAsync,
  getRecoverNestedAssociatedTokenInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from "@solana-program/token";
import { describe, expect, it } from "vitest";
import type { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { advance, fundedWallet, newChain, oneSol, oneUsdc, rpcOf, send, signed, usdcAccountOf } from "./wallet.ts";

const computeBudget = address("ComputeBudget111111111111111111111111111111");
const lookupTables = address("AddressLookupTab1e1111111111111111111111111");
const system = address("11111111111111111111111111111111");

const bytes = (...parts: (ArrayLike<number> | number)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : Array.from(part))));
const u32 = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
const u64 = (value: bigint | number) => getU64Encoder().encode(value);

const computeUnitLimit = (units: number): Instruction => ({
  programAddress: computeBudget,
  data: bytes(2, u32(units)),
});
const computeUnitPrice = (microLamports: number): Instruction => ({
  programAddress: computeBudget,
  data: bytes(3, u64(microLamports)),
});

async function createLookupTable(
  chain: DevelopmentChain,
  payer: KeyPairSigner,
  addresses: Address[],
): Promise<Address> {
  const recentSlot = chain.slot - 1;
  const [table, bump] = await getProgramDerivedAddress({
    programAddress: lookupTables,
    seeds: [getAddressEncoder().encode(payer.address), u64(recentSlot)],
  });
  const accounts = [
    { address: table, role: AccountRole.WRITABLE },
    { address: payer.address, role: AccountRole.READONLY_SIGNER },
    { address: payer.address, role: AccountRole.WRITABLE_SIGNER },
    { address: system, role: AccountRole.READONLY },
  ];
  const keys = addresses.map((each) => getAddressEncoder().encode(each));
  await send(chain, payer, [
    { programAddress: lookupTables, accounts, data: bytes(u32(0), u64(recentSlot), bump) },
    { programAddress: lookupTables, accounts, data: bytes(u32(2), u64(keys.length), ...keys) },
  ]);
  return table;
}

describe("programs", () => {
  it("loads accounts from a lookup table, and lists the transaction under them", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    advance(chain, 1);
    const to = (await generateKeyPairSigner()).address;
    const table = await createLookupTable(chain, payer, [to]);
    advance(chain, 1);
    const tables = await fetchAddressesForLookupTables([table], rpc, { commitment: "confirmed" });
    expect(tables).toEqual({ [table]: [to] });

    const transfer = getTransferSolInstruction({ source: payer, destination: to, amount: oneSol });
    const signature = await send(chain, payer, [transfer], { lookupTables: tables });
    advance(chain, 1);
    const listed = await rpc.getSignaturesForAddress(to, { commitment: "confirmed" }).send();
    expect(listed.map((entry) => entry.signature)).toEqual([signature]);
    const parsed = await rpc
      .getTransaction(signature, { encoding: "jsonParsed", commitment: "confirmed", maxSupportedTransactionVersion: 0 })
      .send();
    expect(parsed?.transaction.message.accountKeys).toContainEqual({
      pubkey: to,
      signer: false,
      source: "lookupTable",
      writable: true,
    });
    expect(parsed?.transaction.message.instructions[0]).toMatchObject({
      parsed: { type: "transfer", info: { source: payer.address, destination: to, lamports: oneSol } },
    });
    expect(
      chain.call("getTransaction", [signature, { commitment: "confirmed", maxSupportedTransactionVersion: 0 }]),
    ).toMatchObject({ meta: { loadedAddresses: { writable: [to], readonly: [] } }, version: 0 });
    expect(() => chain.call("getTransaction", [signature, { commitment: "confirmed" }])).toThrow(
      expect.objectContaining({ code: -32015 }),
    );
  });

  it("shows a token transfer that another program makes", async () => {
    const chain = newChain();
    const payer = await fundedWallet(chain, 9n * oneUsdc);
    const mint = chain.usdcMint;
    const owned = await usdcAccountOf(chain, payer.address);
    const [nested] = await findAssociatedTokenPda({ owner: owned, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS });
    await send(chain, payer, [
      await getCreateAssociatedTokenInstructionAsync({ payer, owner: owned, mint }),
      getTransferCheckedInstruction({
        source: owned,
        mint,
        destination: nested,
        authority: payer,
        amount: 4n,
        decimals: 6,
      }),
    ]);
    const signature = await send(chain, payer, [
      getRecoverNestedAssociatedTokenInstruction({
        nestedAssociatedAccountAddress: nested,
        nestedTokenMintAddress: mint,
        destinationAssociatedAccountAddress: owned,
        ownerAssociatedAccountAddress: owned,
        ownerTokenMintAddress: mint,
        walletAddress: payer,
      }),
    ]);
    advance(chain, 1);
    const config = { encoding: "jsonParsed", commitment: "confirmed", maxSupportedTransactionVersion: 0 };
    const read = chain.call("getTransaction", [signature, config]) as { meta: Record<string, unknown> };
    expect(read.meta.innerInstructions).toMatchObject([
      {
        index: 0,
        instructions: [
          {
            stackHeight: 2,
            parsed: {
              type: "transferChecked",
              info: { source: nested, destination: owned, mint, authority: owned, tokenAmount: { amount: "4" } },
            },
          },
          { parsed: { type: "closeAccount", info: { account: nested } } },
        ],
      },
    ]);
    expect(read.meta.preTokenBalances).toHaveLength(2);
    expect(read.meta.postTokenBalances).toMatchObject([{ owner: payer.address, uiTokenAmount: { amount: "9000000" } }]);
  });

  it("charges the compute unit price, as getFeeForMessage and simulation foretold", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    const transfer = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    for (const instructions of [
      [transfer],
      [computeUnitPrice(1_000_001), transfer],
      [computeUnitLimit(1_234), computeUnitPrice(70_000), transfer],
    ]) {
      const { transaction, wire, signature } = await signed(chain, payer, instructions);
      const message = Buffer.from(transaction.messageBytes).toString("base64");
      const foretold = chain.call("getFeeForMessage", [message, { commitment: "processed" }]) as { value: bigint };
      await rpc.sendTransaction(wire, { encoding: "base64", preflightCommitment: "processed" }).send();
      expect(chain.state.history.bySignature(signature)?.feeLamports).toBe(foretold.value);
    }
  });

  it("estimates compute units for kit and tries out transactions without keeping their effects", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    const to = (await generateKeyPairSigner()).address;
    const transfer = getTransferSolInstruction({ source: payer, destination: to, amount: oneSol });
    const { wire, message } = await signed(chain, payer, [transfer]);
    expect(await estimateComputeUnitLimitFactory({ rpc })(message)).toBeGreaterThan(0);
    const simulated = await rpc
      .simulateTransaction(wire, {
        encoding: "base64",
        commitment: "processed",
        sigVerify: true,
        accounts: { encoding: "base64", addresses: [to] },
      })
      .send();
    expect(simulated.value.err).toBeNull();
    expect(simulated.value.accounts[0]?.lamports).toBe(oneSol);
    expect((await rpc.getBalance(to, { commitment: "processed" }).send()).value).toBe(0n);
  });
});
