import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getProgramDerivedAddress } from "@solana/kit";
import { AuthorityType, getSetAuthorityInstruction, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkRefundAddress } from "../../api/payments/refunds/check-refund-address.ts";
import { newReference } from "../../api/payments/solana-pay/transfer-request.ts";
import { ChainError } from "../../api/ports/chain.ts";
import { SignerError } from "../../api/treasury/signer-error.ts";
import { treasurySignerFromFile } from "../../api/treasury/treasury-signer-file.ts";
import { oneSol, usdcAccountOf } from "../chain/wallet.ts";
import { type MoneyWorld, newMoneyWorld, writeKey } from "./world.ts";

let world: MoneyWorld;
let folder: string;
beforeAll(async () => {
  world = await newMoneyWorld();
  folder = await mkdtemp(join(tmpdir(), "volley-signer-"));
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

describe("an address for refunds", () => {
  const check = (address: string) => checkRefundAddress(world.ctx, address);

  test("is a wallet that has a USDC account", async () => {
    const known = (await world.wallet()).address;
    world.advance(1);
    await check(known);
    const unknown = (await writeKey(join(folder, "unknown.json"))).address;
    await expect(check(unknown)).rejects.toMatchObject({
      code: "address_invalid",
      message: expect.stringContaining("no USDC account"),
    });
  });

  test("is a vault of a program when it exists and the system program owns it", async () => {
    const [vault] = await getProgramDerivedAddress({ programAddress: TOKEN_PROGRAM_ADDRESS, seeds: ["vault"] });
    await expect(check(vault)).rejects.toMatchObject({ code: "address_invalid" });
    world.chain.faucet({ address: vault, lamports: oneSol, microUsdc: 1n });
    world.advance(1);
    await check(vault);
  });

  test("is not a wallet whose USDC account somebody else has taken over", async () => {
    const [robbed, thief] = [await world.wallet(), await world.wallet()];
    const takeover = getSetAuthorityInstruction({
      owned: await usdcAccountOf(world.chain, robbed.address),
      owner: robbed,
      authorityType: AuthorityType.AccountOwner,
      newAuthority: thief.address,
    });
    await world.send(robbed, [takeover]);
    world.advance(1);
    await expect(check(robbed.address)).rejects.toMatchObject({
      code: "address_invalid",
      message: expect.stringContaining("belongs to"),
    });
  });

  test("is not a wallet whose USDC account the issuer has frozen", async () => {
    const wallet = await world.wallet();
    world.advance(1);
    const chain = { ...world.ctx.chain, tokenAccount: async () => ({ owner: wallet.address, isFrozen: true }) };
    await expect(checkRefundAddress({ ...world.ctx, chain }, wallet.address)).rejects.toMatchObject({
      code: "address_invalid",
      message: expect.stringContaining("frozen"),
    });
  });

  test.each([
    ["no address", async () => "not-an-address"],
    ["too short", async () => "1111111111111111111111111111111"],
    ["the treasury", async () => world.treasury.address],
    ["the treasury's token account", async () => world.treasuryToken],
    ["the mint", async () => world.chain.usdcMint],
    ["a token account", async () => usdcAccountOf(world.chain, (await world.wallet()).address)],
    ["a program", async () => TOKEN_PROGRAM_ADDRESS],
    ["the system program", async () => "11111111111111111111111111111111"],
  ])("is not %s", async (_name, address) => {
    await expect(check(await address())).rejects.toMatchObject({
      code: "address_invalid",
      nextAction: "Give the address of a Solana wallet that you control and that holds, or has held, USDC.",
    });
  });

  test("can't be checked while the node is silent, and says what to do", async () => {
    const chain = {
      ...world.ctx.chain,
      accountOwner: async () => {
        throw new ChainError("silent");
      },
    };
    await expect(checkRefundAddress({ ...world.ctx, chain }, newReference(world.ctx.random))).rejects.toMatchObject({
      code: "unavailable",
      retryAfterSeconds: 5,
    });
  });
});

describe("the signer with a key file", () => {
  const open = (path: string) =>
    treasurySignerFromFile(path, { usdcMint: world.chain.usdcMint, limits: { transactionMaxMicroUsdc: 100n } });
  const order = async (amountMicroUsdc: bigint) => ({
    refundId: "rfd_1",
    to: (await world.wallet()).address,
    amountMicroUsdc,
    ...(await world.ctx.chain.latestBlockhash()),
  });

  test("gives the same bytes for the same order, and others for another refund", async () => {
    const path = join(folder, "key.json");
    const key = await writeKey(path);
    const signer = await open(path);
    expect(signer.address).toBe(key.address);
    const one = await order(100n);
    expect(await signer.signRefund(one)).toEqual(await signer.signRefund(one));
    const other = await signer.signRefund({ ...one, refundId: "rfd_2" });
    expect(other.signature).not.toBe((await signer.signRefund(one)).signature);
  });

  test("signs nothing above its limit, and nothing for nothing", async () => {
    const path = join(folder, "limit.json");
    await writeKey(path);
    const signer = await open(path);
    await expect(signer.signRefund(await order(101n))).rejects.toThrow(SignerError);
    await expect(signer.signRefund(await order(0n))).rejects.toThrow(SignerError);
  });

  test("refuses a file that others can read, that is no key, or that isn't there", async () => {
    const path = join(folder, "open.json");
    await writeKey(path);
    await chmod(path, 0o640);
    await expect(open(path)).rejects.toThrow(/chmod 600/);
    const wrong = join(folder, "wrong.json");
    await writeFile(wrong, "[1,2,3]", { mode: 0o600 });
    await expect(open(wrong)).rejects.toThrow(/not a key of 64 bytes/);
    await expect(open(join(folder, "missing.json"))).rejects.toThrow(SignerError);
  });
});
