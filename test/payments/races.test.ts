import { parseId } from "@volley/schema/ids";
import { afterAll, beforeAll, expect, test } from "vitest";
import { reconcileCluster } from "../../api/clusters/reconcile-cluster.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const AMOUNT = 5_000_000n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(64);
});
afterAll(() => world.close());

test("a signature that is claimed 50 times at once is credited once", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const payer = await world.wallet();
  await world.pay(payer, AMOUNT, [reservation.reference]);
  world.advance(1);
  await Promise.all(Array.from({ length: 50 }, (_, index) => (index % 2 ? world.watch(reservation) : world.sweep())));
  expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: AMOUNT });
  expect((await world.inbound()).filter((row) => row.paymentId === reservation.paymentId)).toHaveLength(1);
  expect(await world.faults()).toEqual([]);
});

test("two payments in one transaction, claimed from both sides at once, lock in one order", async () => {
  for (let round = 0; round < 3; round++) {
    const [one, two] = [
      await world.reserve({ amountMicroUsdc: AMOUNT }),
      await world.reserve({ amountMicroUsdc: AMOUNT }),
    ];
    const payer = await world.wallet();
    const instructions = [
      await world.transferTo(payer, AMOUNT, [two.reference]),
      await world.transferTo(payer, AMOUNT, [one.reference]),
    ];
    await world.send(payer, instructions);
    world.advance(1);
    await Promise.all(Array.from({ length: 16 }, (_, index) => world.watch(index % 2 ? one : two)));
    expect(await world.payment(one)).toMatchObject({ status: "settled" });
    expect(await world.payment(two)).toMatchObject({ status: "settled" });
  }
  expect(await world.faults()).toEqual([]);
});

test("paying against expiring: one of them wins, and no money is lost", async () => {
  for (let round = 0; round < 10; round++) {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, lifetimeMs: 60_000 });
    const payer = await world.wallet();
    await world.pay(payer, AMOUNT, [reservation.reference]);
    // In time by its block, and seen when the machines are about to be given back.
    world.advance(1);
    world.clock.pass(66_000);
    const watching = Array.from({ length: 4 }, () => world.watch(reservation));
    const expiring = Array.from({ length: 4 }, () => reconcileCluster(world.ctx, reservation.clusterId));
    await Promise.all(round % 2 ? [...expiring, ...watching] : [...watching, ...expiring]);
    await world.watch(reservation);
    const [payment, cluster] = [await world.payment(reservation), await world.cluster(reservation)];
    const balance = await balanceOf(world.db, `customer:${reservation.clusterId}`);
    expect(balance.postedMicroUsdc).toBe(AMOUNT);
    if (cluster.status === "provisioning") {
      expect(payment.status).toBe("settled");
      expect(balance.availableMicroUsdc).toBe(0n);
    } else {
      expect([cluster.status, payment.status]).toEqual(["expired", "expired"]);
      expect(balance.availableMicroUsdc).toBe(AMOUNT);
    }
  }
  expect(await world.faults()).toEqual([]);
});

test("32 refunds of one credit at once: one goes out", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const payer = await world.wallet();
  await world.pay(payer, AMOUNT + 3_000_000n, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  const input = { cluster_id: parseId("cluster", reservation.clusterId), to: payer.address };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 32 }, (_, index) => createRefund(world.holder(reservation, `key-${index}`), input)),
  );
  expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "nothing_to_refund" });
  }
  expect(await world.refunds(reservation)).toMatchObject([{ amountMicroUsdc: 3_000_000n }]);
  expect(await world.faults()).toEqual([]);
});
