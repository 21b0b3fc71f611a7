/** With a sanctions list nobody on it signs in, is paid, or pays for anything; and each decision is kept. */
import { parseId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localScreening } from "../../api/adapters/local-screening.ts";
import { alarms, inboundTransfers, refundAttempts, refunds, screenings } from "../../api/db/tables.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import { claimUnallocated } from "../../api/payments/unallocated/claim-unallocated.ts";
import { readSettings } from "../../api/settings.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { signIn } from "../harness/account.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const PRICE = 5_000_000n;
const DATE = "2026-11-01";

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(20);
});
afterAll(() => world.close());

const listing = (...addresses: string[]) => world.with({ screening: localScreening({ date: DATE, addresses }) });
const decisionsOn = (address: string) => world.db.select().from(screenings).where(eq(screenings.address, address));
const newWallet = async (microUsdc = 100_000_000n) => {
  const wallet = await world.wallet(microUsdc);
  world.advance(2);
  return wallet;
};

test("off, nothing is asked and nothing is kept", async () => {
  await signIn(world.ctx, await newWallet());
  expect(await world.db.select().from(screenings)).toEqual([]);
});

test("a listed wallet can't sign in; another one can, and both decisions are kept", async () => {
  const [listed, other] = [await newWallet(), await newWallet()];
  const ctx = listing(listed.address);
  await expect(signIn(ctx, listed)).rejects.toMatchObject({ code: "address_refused" });
  await signIn(ctx, other);
  expect(await decisionsOn(listed.address)).toMatchObject([{ subject: "sign_in", allowed: false, listDate: DATE }]);
  expect(await decisionsOn(other.address)).toMatchObject([{ subject: "sign_in", allowed: true, listDate: DATE }]);
});

describe("money from a listed address", () => {
  test("is recorded, pays for nothing, and says so; somebody else can still pay", async () => {
    const [listed, other] = [await newWallet(), await newWallet()];
    const ctx = listing(listed.address);
    const reservation = await world.reserve({ amountMicroUsdc: PRICE });
    const signature = await world.pay(listed, PRICE, [reservation.reference]);
    world.advance(1);
    await world.watch(reservation, ctx);
    await world.watch(reservation, ctx);
    expect(await world.payment(reservation)).toMatchObject({ status: "pending", receivedMicroUsdc: 0n });
    const [row] = await world.db.select().from(inboundTransfers).where(eq(inboundTransfers.signature, signature));
    expect(row).toMatchObject({ paymentId: null, amountMicroUsdc: PRICE, sourceOwner: listed.address });
    expect((await world.notices(reservation)).map(({ code }) => code)).toEqual(["sender_refused"]);
    await world.pay(other, PRICE, [reservation.reference]);
    world.advance(1);
    await world.watch(reservation, ctx);
    expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: PRICE });
    await world.catchUp(ctx);
    expect(await world.faults()).toEqual([]);
  });

  test("can't be claimed by a wallet that signed in before it was listed", async () => {
    const wallet = await newWallet();
    const who = await signIn(world.ctx, wallet);
    const signature = await world.pay(wallet, PRICE, []);
    await world.catchUp();
    const screening = localScreening({ date: DATE, addresses: [wallet.address] });
    const claim = (parts: object) =>
      claimUnallocated(who.as({ idempotencyKey: `claim-${Object.keys(parts).length}`, ...parts }), {
        signature,
        index: 0,
      });
    await expect(claim({ screening })).rejects.toMatchObject({ code: "address_refused" });
    await claim({});
  });
});

describe("money to a listed address", () => {
  async function withCredit() {
    const reservation = await world.reserve({ amountMicroUsdc: PRICE });
    await world.pay(await newWallet(), PRICE + 1_000_000n, [reservation.reference]);
    world.advance(1);
    await world.watch(reservation);
    await world.catchUp();
    return reservation;
  }

  test("can't be asked for", async () => {
    const reservation = await withCredit();
    const listed = await newWallet();
    const input = { cluster_id: parseId("cluster", reservation.clusterId), to: listed.address };
    const { screening } = listing(listed.address);
    const asked = createRefund({ ...world.holder(reservation, "refused"), screening }, input);
    await expect(asked).rejects.toMatchObject({ code: "address_refused" });
    expect(await world.db.select().from(refunds).where(eq(refunds.toAddress, listed.address))).toEqual([]);
  });

  test("isn't signed when it was listed meanwhile: it is held, with an alarm, and goes on when it isn't any more", async () => {
    const reservation = await withCredit();
    const wallet = await newWallet();
    const input = { cluster_id: parseId("cluster", reservation.clusterId), to: wallet.address };
    const refund = await createRefund(world.holder(reservation, "held"), input);
    await processRefund(listing(wallet.address), refund.id);
    const row = async () => (await world.db.select().from(refunds).where(eq(refunds.id, refund.id)))[0];
    expect(await row()).toMatchObject({ status: "held", reason: expect.stringContaining(DATE) });
    expect(await world.db.select().from(refundAttempts).where(eq(refundAttempts.refundId, refund.id))).toEqual([]);
    expect(await world.db.select().from(alarms)).toMatchObject([{ name: "refunds_held", blocksOutbound: false }]);
    await world.finishRefund(refund.id);
    expect(await row()).toMatchObject({ status: "finalized" });
    expect(await world.db.select().from(alarms)).toEqual([]);
  });
});

test.each([
  ["no JSON", "{"],
  ["no date", '{"addresses":[]}'],
  ["no addresses", '{"date":"2026-11-01"}'],
  ["an address that is none", '{"date":"2026-11-01","addresses":["0x00"]}'],
])("a list that holds %s is refused at the start, by the variable's name", (_, text) => {
  const environment = {
    VOLLEY_QUOTE_KEYS: "A".repeat(43),
    VOLLEY_SECRET_KEY: "B".repeat(43),
    SOLANA_RPC_URL: "http://127.0.0.1:1",
    USDC_MINT: "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    VOLLEY_TREASURY_ADDRESS: "7VHUFJHWu2CuExkJcJrzhQPJ2oygupTWkL2A2For4BmE",
  };
  expect(readSettings(environment).sanctionsList).toBeNull();
  expect(() => readSettings({ ...environment, VOLLEY_SANCTIONS_LIST: text })).toThrow("VOLLEY_SANCTIONS_LIST");
});
