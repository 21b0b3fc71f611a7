import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../api/context.ts";
import { clusters, leases, payments } from "../../api/db/tables.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { hold } from "../../api/ledger/hold.ts";
import { newReference } from "../../api/payments/solana-pay/transfer-request.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const AMOUNT = 5_000_000n;
const EXTENSION = 2_000_000n;
const SECONDS = 1_800;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

/** A running cluster with an extension that awaits its payment. */
async function extending(): Promise<{ reservation: Reservation; extension: Reservation; endsAt: number }> {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  await world.pay(await world.wallet(), AMOUNT, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  const nowMs = world.clock.nowMs();
  const endsAt = nowMs + 3_600_000;
  const isThis = eq(clusters.id, reservation.clusterId);
  await world.db.update(clusters).set({ status: "running", readyAt: nowMs, endsAt }).where(isThis);
  await world.db
    .update(leases)
    .set({ desired: "running", observed: "ready", endsAt })
    .where(eq(leases.clusterId, reservation.clusterId));
  const extension: Reservation = {
    ...reservation,
    paymentId: newId(world.ctx, "payment"),
    reference: newReference(world.ctx.random),
    amountMicroUsdc: EXTENSION,
    expiresAtMs: nowMs + 600_000,
  };
  await world.db.transaction(async (tx) => {
    const holdTransferId = await hold(world.ctx, tx, {
      clusterId: reservation.clusterId,
      ownerId: reservation.clusterId,
      amountMicroUsdc: EXTENSION,
      timeoutMs: extension.expiresAtMs,
      reference: extension.paymentId,
    });
    await tx.insert(payments).values({
      id: extension.paymentId,
      clusterId: reservation.clusterId,
      purpose: "extend",
      rail: "solana_pay",
      status: "pending",
      amountMicroUsdc: EXTENSION,
      holdTransferId,
      recipient: world.treasury.address,
      mint: world.chain.usdcMint,
      reference: extension.reference,
      commitment: "confirmed",
      extensionSeconds: SECONDS,
      expiresAt: extension.expiresAtMs,
      createdAt: nowMs,
    });
  });
  return { reservation, extension, endsAt };
}

test("a paid extension moves the end of the cluster and of its leases", async () => {
  const { reservation, extension, endsAt } = await extending();
  await world.pay(await world.wallet(), EXTENSION, [extension.reference]);
  world.advance(1);
  expect(await world.watch(extension)).toBe("done");
  expect(await world.payment(extension)).toMatchObject({ status: "settled" });
  expect(await world.cluster(reservation)).toMatchObject({ status: "running", endsAt: endsAt + SECONDS * 1000 });
  const carried = await world.db.select().from(leases).where(eq(leases.clusterId, reservation.clusterId));
  expect(carried.map((lease) => lease.endsAt)).toEqual([endsAt + SECONDS * 1000]);
  expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toMatchObject({
    heldMicroUsdc: AMOUNT + EXTENSION,
    availableMicroUsdc: 0n,
  });
  await world.catchUp();
  expect(await world.faults()).toEqual([]);
});

test("an extension that is paid when the cluster's time is over is credit", async () => {
  const { reservation, extension, endsAt } = await extending();
  await world.db
    .update(payments)
    .set({ expiresAt: endsAt + 600_000 })
    .where(eq(payments.id, extension.paymentId));
  world.clock.pass(endsAt - world.clock.nowMs() + 1_000);
  world.advance(1);
  await world.pay(await world.wallet(), EXTENSION, [extension.reference]);
  world.advance(1);
  await world.watch(extension);
  expect(await world.payment(extension)).toMatchObject({ status: "expired" });
  expect(await world.notices(extension)).toMatchObject([{ code: "late" }]);
  expect(await world.cluster(reservation)).toMatchObject({ endsAt });
  expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toMatchObject({
    availableMicroUsdc: EXTENSION,
  });
});

test("an extension that nobody pays lapses with its hold, and what comes later is credit", async () => {
  const { reservation, extension } = await extending();
  world.clock.pass(extension.expiresAtMs - world.clock.nowMs() + 4_000);
  await world.watch(extension);
  expect(await world.payment(extension)).toMatchObject({ status: "pending" });
  world.clock.pass(2_000);
  await world.watch(extension);
  expect(await world.payment(extension)).toMatchObject({ status: "expired" });
  world.advance(1);
  await world.pay(await world.wallet(), EXTENSION, [extension.reference]);
  world.advance(1);
  await world.watch(extension);
  expect(await world.notices(extension)).toMatchObject([{ code: "late" }]);
  expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toMatchObject({
    availableMicroUsdc: EXTENSION,
  });
  await world.catchUp();
  expect(await world.faults()).toEqual([]);
});
