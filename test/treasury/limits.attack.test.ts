import { getCreateAssociatedTokenIdempotentInstruction } from "@solana-program/token";
import { parseId } from "@volley/schema/ids";
import { eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openDatabase, sqlState } from "../../api/db/database.ts";
import { alarms, customers, events, refundAttempts, refunds, treasurySignings } from "../../api/db/tables.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import type { Chain } from "../../api/ports/chain.ts";
import { recordSigning } from "../../api/treasury/record-signing.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import type { TreasuryLimits } from "../../api/treasury/treasury-settings.ts";
import { send, usdcAccountOf } from "../chain/wallet.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";

const PRICE = 5_000_000n;
const CREDIT = 3_000_000n;
const DAY_MS = 86_400_000;

let world: MoneyWorld;
let receiver = "";
beforeAll(async () => {
  world = await newMoneyWorld(20);
  const wallet = await world.wallet(0n);
  const ata = await usdcAccountOf(world.chain, wallet.address);
  const { usdcMint: mint } = world.chain;
  await send(world.chain, wallet, [
    getCreateAssociatedTokenIdempotentInstruction({ payer: wallet, ata, owner: wallet.address, mint }),
  ]);
  receiver = wallet.address;
});
afterAll(() => world.close());

/** Each test has a day of its own. */
beforeEach(() => world.clock.pass(DAY_MS));

/** Refunds of 3 USDC each, whose money is final. */
async function pendingRefunds(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    const reservation = await world.reserve({ amountMicroUsdc: PRICE });
    await world.pay(await world.wallet(), PRICE + CREDIT, [reservation.reference]);
    world.advance(1);
    await world.watch(reservation);
    const input = { cluster_id: parseId("cluster", reservation.clusterId), to: receiver };
    ids.push((await createRefund(world.holder(reservation, `refund ${reservation.clusterId}`), input)).id);
  }
  await world.catchUp();
  return ids;
}

const withLimits = (limits: Partial<TreasuryLimits>, context = world.ctx) => ({
  ...context,
  settings: { ...context.settings, limits: { ...context.settings.limits, ...limits } },
});
const refundOf = async (id: string) => (await world.db.select().from(refunds).where(eq(refunds.id, id)))[0];
const attemptsOf = (id: string) => world.db.select().from(refundAttempts).where(eq(refundAttempts.refundId, id));
const alarmNames = async () => (await world.db.select().from(alarms)).map(({ name }) => name);

test("more than one transaction may move is held, said, and goes on when the limit is raised", async () => {
  const [id = ""] = await pendingRefunds(1);
  const tight = withLimits({ transactionMaxMicroUsdc: CREDIT - 1n });
  expect(await processRefund(tight, id)).toEqual({ dueAtMs: world.clock.nowMs() + 60_000 });
  expect(await refundOf(id)).toMatchObject({ status: "held", reason: expect.stringContaining("one transaction") });
  expect(await attemptsOf(id)).toEqual([]);
  expect(await alarmNames()).toEqual(["refunds_held"]);
  await world.finishRefund(id);
  expect(await refundOf(id)).toMatchObject({ status: "finalized", reason: null });
  expect(await alarmNames()).toEqual([]);
});

test("more than the day's limit waits for the next day (UTC)", async () => {
  const [first = "", second = ""] = await pendingRefunds(2);
  const tight = withLimits({ dayMaxMicroUsdc: 2n * CREDIT - 1n });
  await world.finishRefund(first, tight);
  await processRefund(tight, second);
  expect(await refundOf(second)).toMatchObject({ status: "held", reason: expect.stringContaining("today") });
  const nowMs = world.clock.nowMs();
  world.clock.pass(DAY_MS - (nowMs % DAY_MS) - 1);
  await processRefund(tight, second);
  expect(await attemptsOf(second)).toEqual([]);
  world.clock.pass(1);
  await world.finishRefund(second, tight);
  expect(await refundOf(second)).toMatchObject({ status: "finalized" });
  expect(await world.faults()).toEqual([]);
});

test("fees count too", async () => {
  const [first = "", second = ""] = await pendingRefunds(2);
  await processRefund(withLimits({ transactionMaxLamports: 4_999n }), first);
  expect(await refundOf(first)).toMatchObject({ status: "held", reason: expect.stringContaining("lamports") });
  const tight = withLimits({ dayMaxLamports: 9_999n });
  await world.finishRefund(first, tight);
  await processRefund(tight, second);
  expect(await refundOf(second)).toMatchObject({ status: "held", reason: expect.stringContaining("lamports today") });
  await world.finishRefund(second);
});

describe("a treasury whose wallet can't pay", () => {
  const chainThat = (parts: Partial<Chain>) => world.with({ chain: { ...world.ctx.chain, ...parts } });
  const signings = async () => (await world.db.select().from(treasurySignings)).length;

  test.each([
    ["USDC", { tokenBalance: async () => CREDIT - 1n }],
    ["SOL", { lamports: async () => 895_879n }],
  ])(
    "for want of %s signs nothing, which would count against the day, and goes on when it can",
    async (what, parts) => {
      const [id = ""] = await pendingRefunds(1);
      const before = await signings();
      expect(await processRefund(chainThat(parts), id)).toEqual({ dueAtMs: world.clock.nowMs() + 60_000 });
      expect(await refundOf(id)).toMatchObject({ status: "held", reason: expect.stringContaining(what) });
      expect(await signings()).toBe(before);
      expect(await alarmNames()).toEqual(["refunds_held"]);
      await world.finishRefund(id);
      expect(await refundOf(id)).toMatchObject({ status: "finalized", reason: null });
      expect(await alarmNames()).toEqual([]);
    },
  );

  test("is not believed to be so on one node's word", async () => {
    const [id = ""] = await pendingRefunds(1);
    const { tokenBalance, lamports } = world.ctx.chain;
    const lying = chainThat({
      tokenBalance: async (account, commitment, reading) =>
        reading === undefined ? 0n : tokenBalance(account, commitment, reading),
      lamports: async (address, reading) => (reading === undefined ? 0n : lamports(address, reading)),
    });
    await world.finishRefund(id, lying);
    expect(await refundOf(id)).toMatchObject({ status: "finalized" });
  });
});

test("what the sponsor's wallet spends on payments that anybody may ask for holds up no refund", async () => {
  const [id = ""] = await pendingRefunds(1);
  const tight = withLimits({ dayMaxLamports: 10_000n });
  const sponsored = { purpose: "sponsor" as const, reference: "asked for", microUsdc: 0n, lamports: 10_000n };
  const sign = (signature: string) =>
    world.db.transaction((tx) => recordSigning(tight, tx, { ...sponsored, signature }));
  expect(await sign("first of the day")).toBeNull();
  expect(await sign("second of the day")).toMatch(/lamports today/);
  await world.finishRefund(id, tight);
  expect(await refundOf(id)).toMatchObject({ status: "finalized" });
});

test("held, and then landed after all: the alarm that somebody has to look ends with it", async () => {
  const [id = ""] = await pendingRefunds(1);
  await processRefund(world.ctx, id);
  // Against every expectation it was taken for dead.
  await world.db.update(refundAttempts).set({ deadAt: 1 }).where(eq(refundAttempts.refundId, id));
  await processRefund(withLimits({ transactionMaxMicroUsdc: CREDIT - 1n }), id);
  expect(await alarmNames()).toEqual(["refunds_held"]);
  world.advance(10);
  await processRefund(world.ctx, id);
  expect(await refundOf(id)).toMatchObject({ status: "finalized", reason: null });
  expect(await alarmNames()).toEqual([]);
});

test("two treasuries at once sign no more than the day's limit", async () => {
  const ids = await pendingRefunds(8);
  const tight = withLimits({ dayMaxMicroUsdc: 3n * CREDIT });
  const other = openDatabase(world.url, { connectionsMax: 10 });
  try {
    const treasuries = [tight, { ...tight, db: other }];
    await Promise.all(ids.flatMap((id, index) => treasuries.map((ctx) => processRefund(ctx, ids.at(-index) ?? id))));
    await Promise.all(ids.map((id, index) => processRefund(treasuries[index % 2] ?? tight, id)));
    const signed = (await Promise.all(ids.map(attemptsOf))).flat();
    expect(signed).toHaveLength(3);
    const statuses = (await Promise.all(ids.map(refundOf))).map((refund) => refund?.status);
    expect(statuses.filter((status) => status === "held")).toHaveLength(5);
  } finally {
    await other.$client.end();
  }
  for (const id of ids) await world.finishRefund(id);
  expect(await world.faults()).toEqual([]);
});

test("an alarm that holds money back lets nothing be signed or sent, and all go on when it clears", async () => {
  const [fresh = "", stored = ""] = await pendingRefunds(2);
  let sent = 0;
  const counting = world.with({
    chain: {
      ...world.ctx.chain,
      sendTransaction: async (bytes) => {
        sent += 1;
        await world.ctx.chain.sendTransaction(bytes);
      },
    },
  });
  // Killed between storing and sending.
  const killed = {
    ...counting,
    chain: { ...counting.chain, sendTransaction: () => Promise.reject(new Error("killed")) },
  };
  await expect(processRefund(killed, stored)).rejects.toThrow("killed");
  const nowMs = world.clock.nowMs();
  const alarm = { name: "chain_differs", detail: "1 USDC is missing", blocksOutbound: true };
  await world.db.insert(alarms).values({ ...alarm, raisedAt: nowMs, seenAt: nowMs });
  for (const id of [fresh, stored]) await processRefund(counting, id);
  expect(sent).toBe(0);
  expect(await refundOf(fresh)).toMatchObject({ status: "held", reason: expect.stringContaining("chain_differs") });
  expect(await attemptsOf(fresh)).toEqual([]);
  const [bytes] = await attemptsOf(stored);
  await world.db.delete(alarms);
  for (const id of [fresh, stored]) await world.finishRefund(id, counting);
  expect(await refundOf(stored)).toMatchObject({ status: "finalized", signature: bytes?.signature });
  expect(await world.faults()).toEqual([]);
});

test("a frozen account's money stays, until it is thawed", async () => {
  const [id = ""] = await pendingRefunds(1);
  const customer = {
    id: "acct_frozen",
    wallet: receiver,
    createdAt: 1,
    frozenAt: 2,
    frozenReason: "a card is disputed",
  };
  await world.db.insert(customers).values(customer);
  await world.db.execute(
    sql`UPDATE clusters SET customer_id = ${customer.id} WHERE id = (SELECT cluster_id FROM refunds WHERE id = ${id})`,
  );
  await processRefund(world.ctx, id);
  expect(await refundOf(id)).toMatchObject({ status: "held", reason: expect.stringContaining("a card is disputed") });
  await processRefund(world.ctx, id);
  const told = await world.db.select().from(events).where(eq(events.type, "refund.held"));
  const ofIt = told.filter(({ data }) => data.refund_id === id);
  expect(ofIt).toMatchObject([{ data: { reason: expect.stringContaining("a card is disputed") } }]);
  expect(await alarmNames()).toEqual(["refunds_held"]);
  await world.db.update(customers).set({ frozenAt: null });
  await world.finishRefund(id);
});

test("what was signed is never changed, and the API's role can't write it", async () => {
  const refused = async (statement: ReturnType<typeof sql>) => {
    try {
      await world.db.execute(statement);
      return null;
    } catch (error) {
      return sqlState(error)?.code;
    }
  };
  expect(await world.db.select().from(treasurySignings)).not.toEqual([]);
  expect(await refused(sql`UPDATE treasury_signings SET micro_usdc = 0`)).toBe("VT001");
  expect(await refused(sql`DELETE FROM treasury_signings`)).toBe("VT001");
  const asRole = (role: string) =>
    world.db
      .transaction(async (tx) => {
        await tx.execute(sql.raw(`SET LOCAL ROLE ${role}`));
        await tx.execute(sql`INSERT INTO treasury_signings VALUES (${role}, 'refund', 'r', 1, 1, 1)`);
        tx.rollback();
      })
      .catch((error: unknown) => sqlState(error)?.code ?? "written");
  await world.db.execute(sql`CREATE ROLE volley_treasury`);
  await world.db.execute(sql`CREATE ROLE volley_test_api`);
  try {
    await world.db.execute(sql`GRANT ALL ON treasury_signings TO volley_treasury, volley_test_api`);
    expect(await asRole("volley_test_api")).toBe("VT002");
    expect(await asRole("volley_treasury")).toBe("written");
  } finally {
    await world.db.execute(sql`REVOKE ALL ON treasury_signings FROM volley_treasury, volley_test_api`);
    await world.db.execute(sql`DROP ROLE volley_treasury, volley_test_api`);
  }
});
