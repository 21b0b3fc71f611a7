import {
  address,
  appendTransactionMessageInstruction,
  createTransactionMessage,
  fetchJsonParsedAccount,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  lamports,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";
import { getCreateAccountInstruction, getTransferSolInstruction } from "@solana-program/system";
import { getApproveCheckedInstruction, getInitializeMint2Instruction, getMintSize } from "@solana-program/token";
import { describe, expect, it } from "vitest";
import { advance, fundedWallet, newChain, oneSol, oneUsdc, rpcOf, send, usdcAccountOf } from "./wallet.ts";

const token2022 = address("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

describe("accounts", () => {
  it("are explained as tokens and mints", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const owner = await fundedWallet(chain, 3n * oneUsdc);
    const delegate = (await generateKeyPairSigner()).address;
    const account = await usdcAccountOf(chain, owner.address);
    const approve = getApproveCheckedInstruction({
      source: account,
      mint: chain.usdcMint,
      delegate,
      owner,
      amount: 5n,
      decimals: 6,
    });
    await send(chain, owner, [approve]);
    const token = await fetchJsonParsedAccount(rpc, account, { commitment: "processed" });
    expect(token).toMatchObject({
      exists: true,
      space: 165n,
      data: {
        parsedAccountMeta: { program: "spl-token", type: "account" },
        owner: owner.address,
        mint: chain.usdcMint,
        state: "initialized",
        isNative: false,
        tokenAmount: { amount: "3000000", uiAmountString: "3" },
        delegate,
        delegatedAmount: { amount: "5", uiAmountString: "0.000005" },
      },
    });
    const mint = await fetchJsonParsedAccount(rpc, chain.usdcMint, { commitment: "processed" });
    expect(mint).toMatchObject({
      data: { parsedAccountMeta: { type: "mint" }, decimals: 6, mintAuthority: chain.faucetAddress, supply: "3000000" },
    });
    const supply = await rpc.getTokenSupply(chain.usdcMint, { commitment: "processed" }).send();
    expect(supply.value.uiAmountString).toBe("3");
    const owned = await rpc
      .getTokenAccountsByOwner(
        owner.address,
        { mint: chain.usdcMint },
        { commitment: "processed", encoding: "jsonParsed" },
      )
      .send();
    expect(owned.value.map((each) => each.pubkey)).toEqual([account]);
    const others = await rpc
      .getTokenAccountsByOwner(owner.address, { programId: token2022 }, { commitment: "processed", encoding: "base64" })
      .send();
    expect(others.value).toEqual([]);
  });

  it("that do not exist are null and have no balance", async () => {
    const rpc = rpcOf(newChain());
    const nobody = (await generateKeyPairSigner()).address;
    expect((await rpc.getAccountInfo(nobody, { encoding: "base64" }).send()).value).toBeNull();
    expect((await rpc.getMultipleAccounts([nobody, nobody]).send()).value).toEqual([null, null]);
    expect((await rpc.getBalance(nobody).send()).value).toBe(0n);
    await expect(rpc.getTokenAccountBalance(nobody).send()).rejects.toMatchObject({ context: { __code: -32602 } });
  });

  it("of Token-2022 work too", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await fundedWallet(chain);
    const mint = await generateKeyPairSigner();
    const space = getMintSize();
    const rent = await rpc.getMinimumBalanceForRentExemption(BigInt(space)).send();
    await send(chain, payer, [
      getCreateAccountInstruction({ payer, newAccount: mint, lamports: rent, space, programAddress: token2022 }),
      getInitializeMint2Instruction(
        { mint: mint.address, decimals: 2, mintAuthority: payer.address },
        { programAddress: token2022 },
      ),
    ]);
    const read = await fetchJsonParsedAccount(rpc, mint.address, { commitment: "processed" });
    expect(read).toMatchObject({
      data: { parsedAccountMeta: { program: "spl-token-2022", type: "mint" }, decimals: 2 },
    });
  });
});

describe("SOL", () => {
  it("comes by requestAirdrop, and is sent by transactions of the legacy version", async () => {
    const chain = newChain();
    const rpc = rpcOf(chain);
    const payer = await generateKeyPairSigner();
    await rpc.requestAirdrop(payer.address, lamports(2n * oneSol)).send();
    const { value: lifetime } = await rpc.getLatestBlockhash({ commitment: "processed" }).send();
    const message = pipe(
      createTransactionMessage({ version: "legacy" }),
      (empty) => setTransactionMessageFeePayerSigner(payer, empty),
      (paid) => setTransactionMessageLifetimeUsingBlockhash(lifetime, paid),
      (live) =>
        appendTransactionMessageInstruction(
          getTransferSolInstruction({ source: payer, destination: chain.faucetAddress, amount: oneSol }),
          live,
        ),
    );
    const wire = getBase64EncodedWireTransaction(await signTransactionMessageWithSigners(message));
    const signature = await rpc.sendTransaction(wire, { encoding: "base64", preflightCommitment: "processed" }).send();
    advance(chain, 1);
    // A legacy transaction is readable without naming a version.
    const read = chain.call("getTransaction", [signature, { commitment: "confirmed" }]);
    expect(read).toMatchObject({ meta: { err: null, fee: 5_000n } });
    expect(read).not.toHaveProperty("version");
    expect((await rpc.getBalance(payer.address, { commitment: "processed" }).send()).value).toBe(oneSol - 5_000n);
  });

  it("is not given in amounts that leave an account below the rent", async () => {
    const chain = newChain();
    const { address: poor } = await generateKeyPairSigner();
    expect(() => chain.faucet({ address: poor, lamports: 5n })).toThrow("rent");
  });
});
