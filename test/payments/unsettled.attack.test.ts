/** Money that isn't final, dust, and floods of small refunds, against whoever waits for money to leave. */
import type { KeyPairSigner } from "@solana/kit";
import { parseId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endCluster } from "../../api/clusters/end-cluster.ts";
import { lockCluster } from "../../api/clusters/open-cluster.ts";
import { clusters, inboundTransfers, refunds } from "../../api/db/tables.ts";
import { LOSS_ACCOUNT } from "../../api/ledger/accounts.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { getBalance } from "../../api/payments/balance/get-balance.ts";
import { createTopup } from "../../api/payments/create-topup.ts";
import { compareBalance } from "../../api/payments/inbound/compare-balance.ts";
import { dropInbound } from "../../api/payments/inbound/drop-inbound.ts";
import { watchPayment } from "../../api/payments/inbound/watch-payment.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { oneUsdc } from "../chain/wallet.ts";
import { type SignedIn, signIn } from "../harness/account.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const AMOUNT = 20_000_000n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(30);
});
afterAll(() => world.close());
let keys = 0;
const keyed = (who: SignedIn) => who.as({ idempotencyKey: `key-${++keys}` });
const payer = async (microUsdc = 1_000n * oneUsdc) => signIn(world.ctx, await world.wallet(microUsdc));
const availableOf = async (who: SignedIn) => (await getBalance(who.as(), {})).available.amount;
const lossOf = async () => (await balanceOf(world.db, LOSS_ACCOUNT)).postedMicroUsdc;
const rowOf = async (signature: string) => {
  const [row] = await world.db.select().from(inboundTransfers).where(eq(inboundTransfers.signature, signature));
  if (row === undefined) throw new Error("no such transfer");
  return row;
};
const refundRow = async (id: string) => (await world.db.select().from(refunds).where(eq(refunds.id, id)))[0];

/** A cluster of the account that ends as soon as it is paid for, so that all of it is left over. */
async function endedCluster(payer: KeyPairSigner, options: { customerId?: string; refundAddress?: string }) {
  const { customerId = null, ...rest } = options;
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, ...rest });
  await world.db.update(clusters).set({ customerId }).where(eq(clusters.id, reservation.clusterId));
  const signature = await world.pay(payer, AMOUNT, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  await world.db.transaction(async (tx) => {
    const cluster = await lockCluster(tx, reservation.clusterId);
    if (cluster === null) throw new Error("no such cluster");
    const meteredUntilMs = world.clock.nowMs();
    await endCluster(world.ctx, tx, cluster, { status: "stopping", reason: "released", meteredUntilMs });
  });
  return { reservation, signature };
}

async function toppedUp(who: SignedIn, amount: string) {
  const topup = await createTopup(keyed(who), { amount, rail: "solana_pay" });
  const signature = await world.pay(who.wallet, BigInt(Number(amount) * 1e6), [solanaPayOf(topup).reference]);
  world.advance(1);
  await watchPayment(world.ctx, topup.id);
  return { topup, signature };
}

test("a top-up that vanishes takes the unsigned refund of its money with it", async () => {
  const who = await payer();
  const { signature } = await toppedUp(who, "20");
  const refund = await createRefund(keyed(who), { to: who.wallet.address, amount: "15" });
  const older = await createRefund(keyed(who), { to: who.wallet.address });
  await processRefund(world.ctx, refund.id);
  await dropInbound(world.ctx, await rowOf(signature));
  for (const { id } of [refund, older]) expect(await refundRow(id)).toMatchObject({ status: "cancelled" });
  expect(await availableOf(who)).toBe("0.000000");
  expect(await lossOf()).toBe(0n);
  // Its fork was the chain after all.
  await world.catchUp();
  expect(await availableOf(who)).toBe("20.000000");
  expect(await world.faults()).toEqual([]);
});

test("what a vanished payment's cluster left over for the balance is taken back", async () => {
  const who = await payer();
  const { signature, reservation } = await endedCluster(who.wallet, { customerId: who.account.id });
  expect(await availableOf(who)).toBe("20.000000");
  const refund = await createRefund(keyed(who), { to: who.wallet.address, amount: "1" });
  await dropInbound(world.ctx, await rowOf(signature));
  expect(await availableOf(who)).toBe("0.000000");
  expect(await refundRow(refund.id)).toMatchObject({ status: "cancelled" });
  expect(await lossOf()).toBe(0n);
  const { bill } = await world.cluster(reservation);
  expect(bill).toMatchObject({
    paid: { amount: "0.000000" },
    refund: { to: "balance", amount: { amount: "0.000000" } },
  });
  await world.catchUp();
  expect(await availableOf(who)).toBe("20.000000");
  expect((await world.cluster(reservation)).bill).toMatchObject({
    paid: { amount: "20.000000" },
    refund: { amount: { amount: "20.000000" } },
  });
  expect(await world.faults()).toEqual([]);
});

describe("money that isn't final yet doesn't leave", () => {
  test("from the balance, when it came there from a cluster", async () => {
    const who = await payer();
    await endedCluster(who.wallet, { customerId: who.account.id });
    const refund = await createRefund(keyed(who), { to: who.wallet.address });
    await processRefund(world.ctx, refund.id);
    expect(await refundRow(refund.id)).toMatchObject({ status: "pending" });
    await world.catchUp();
    await world.finishRefund(refund.id);
    expect(await world.faults()).toEqual([]);
  });

  test("from a cluster, when it may have come there from the balance", async () => {
    const who = await payer();
    const to = { customerId: who.account.id, refundAddress: who.wallet.address };
    const { reservation } = await endedCluster(who.wallet, to);
    await world.catchUp();
    await toppedUp(who, "20");
    const [refund] = await world.refunds(reservation);
    await processRefund(world.ctx, refund?.id ?? "");
    expect(await refundRow(refund?.id ?? "")).toMatchObject({ status: "pending" });
    await world.catchUp();
    await world.finishRefund(refund?.id ?? "");
    expect(await world.faults()).toEqual([]);
  });
});

test("whoever goes on sending dust holds up nobody's refund", async () => {
  const who = await payer();
  const { topup } = await toppedUp(who, "20");
  await world.catchUp();
  const refund = await createRefund(keyed(who), { to: who.wallet.address });
  world.clock.pass(60_000);
  const attacker = await world.wallet();
  await world.pay(attacker, 1n, [solanaPayOf(topup).reference]);
  world.advance(1);
  await world.sweep();
  await processRefund(world.ctx, refund.id);
  expect(await refundRow(refund.id)).toMatchObject({ status: "sent" });
});

test("dust to an ended cluster is two refunds, however much of it comes: one under way, and one for the rest", async () => {
  const attacker = await world.wallet();
  const { reservation } = await endedCluster(attacker, { refundAddress: attacker.address });
  await world.catchUp();
  const [first] = await world.refunds(reservation);
  await world.finishRefund(first?.id ?? "");
  const { reference } = reservation;
  await world.send(
    attacker,
    await Promise.all([1n, 2n, 3n, 4n].map((amount) => world.transferTo(attacker, amount, [reference]))),
  );
  await world.catchUp();
  expect(await world.refunds(reservation)).toHaveLength(2);
  for (const { id } of await world.refunds(reservation)) await world.finishRefund(id);
  const rest = (await world.refunds(reservation)).filter(({ status }) => status === "pending");
  expect(rest.map(({ amountMicroUsdc }) => amountMicroUsdc)).toEqual([9n]);
  await world.finishRefund(rest[0]?.id ?? "");
  expect((await world.refunds(reservation)).every(({ status }) => status === "finalized")).toBe(true);
  await world.catchUp();
  expect(await world.faults()).toEqual([]);
});

test("dust to an ended cluster, again as soon as its refund is final, is twenty-five refunds a day, and more only for its holder", async () => {
  const attacker = await world.wallet();
  const { reservation } = await endedCluster(attacker, { refundAddress: attacker.address });
  await world.catchUp();
  const [first] = await world.refunds(reservation);
  if (first === undefined) throw new Error("nothing was sent back");
  await world.finishRefund(first.id);
  const earlier = Array.from({ length: 23 }, (_, index) => ({ ...first, id: `${first.id}-${index}` }));
  await world.db.insert(refunds).values(earlier.map((row) => ({ ...row, status: "finalized" as const })));
  const dust = async () => {
    await world.pay(attacker, 1n, [reservation.reference]);
    await world.catchUp();
    const open = (await world.refunds(reservation)).filter(({ status }) => status === "pending");
    for (const { id } of open) await world.finishRefund(id);
    return open.map(({ amountMicroUsdc }) => amountMicroUsdc);
  };
  expect(await dust()).toEqual([1n]);
  expect(await dust()).toEqual([]);
  expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toMatchObject({ availableMicroUsdc: 1n });
  const cluster_id = parseId("cluster", reservation.clusterId);
  const asked = await createRefund(world.holder(reservation, "asked"), { cluster_id, to: attacker.address });
  await world.finishRefund(asked.id);
  world.clock.pass(86_400_000);
  expect(await dust()).toEqual([1n]);
  expect(await world.faults()).toEqual([]);
});

test("one account asks for fifty refunds a day, however many requests come together, and so spends no more of our fees", async () => {
  const who = await payer();
  await toppedUp(who, "20");
  const ask = (as = who) => createRefund(keyed(as), { to: who.wallet.address, amount: "0.000001" });
  const answers = await Promise.allSettled(Array.from({ length: 60 }, () => ask()));
  expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(50);
  const refused = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason.code] : []));
  expect(new Set(refused)).toEqual(new Set(["rate_limited"]));
  expect(await availableOf(who)).toBe("19.999950");
  world.clock.pass(86_400_000);
  await ask(await signIn(world.ctx, who.wallet));
});

test("payments and refunds that become final while the books are compared are no difference", async () => {
  const payees = [await payer(), await payer(), await payer()];
  for (const who of payees) await toppedUp(who, "20");
  await world.catchUp();
  for (const who of payees) {
    await processRefund(world.ctx, (await createRefund(keyed(who), { to: who.wallet.address, amount: "7" })).id);
    await toppedUp(who, "5");
  }
  const { chain } = world.ctx;
  const busy = world.with({
    chain: {
      ...chain,
      transaction: async (...asked) => {
        const found = await chain.transaction(...asked);
        world.advance(10);
        return found;
      },
    },
  });
  expect(await compareBalance(busy, "finalized")).toMatchObject({ differenceMicroUsdc: 0n });
  await world.catchUp();
});
