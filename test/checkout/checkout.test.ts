/** Where a payment stands, in the payer's words, at the edges of its time. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { reconcileCluster } from "../../api/clusters/reconcile-cluster.ts";
import { isOver, renderState, stateOf } from "../../api/faces/checkout/render-checkout.ts";
import { getCheckout } from "../../api/payments/get-checkout.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";

const AMOUNT = 5_000_001n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

const look = ({ paymentId }: Reservation) => getCheckout(world.as({ kind: "anonymous" }), paymentId);

test("money sent at the last moment is waited for, and nothing more is asked", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, lifetimeMs: 10_000 });
  await world.pay(await world.wallet(), AMOUNT, [reservation.reference]);
  world.clock.pass(10_001);
  const checkout = await look(reservation);
  const state = stateOf(checkout);
  expect({ state, over: isOver(state), url: checkout.transferUrl }).toEqual({
    state: "checking",
    over: false,
    url: null,
  });
  expect(await renderState(checkout)).toContain("send nothing any more");
  world.advance(1);
  await world.watch(reservation);
  expect(stateOf(await look(reservation))).toBe("paid");
});

test("money that is seen but not final enough is neither asked for again nor called paid", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: 200_000_000n });
  await world.pay(await world.wallet(300_000_000n), 200_000_000n, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  const seen = await look(reservation);
  expect({ state: stateOf(seen), url: seen.transferUrl }).toEqual({ state: "detected", url: null });
  await world.catchUp();
  expect(stateOf(await look(reservation))).toBe("paid");
});

test("a payment whose time is over says what became of what came for it", async () => {
  const [unpaid, short] = [
    await world.reserve({ amountMicroUsdc: AMOUNT }),
    await world.reserve({ amountMicroUsdc: AMOUNT }),
  ];
  await world.pay(await world.wallet(), AMOUNT - 1n, [short.reference]);
  world.advance(1);
  await world.watch(short);
  expect(stateOf(await look(short))).toBe("partly_paid");
  world.clock.pass(short.expiresAtMs - world.clock.nowMs() + 300_000);
  await world.catchUp();
  for (const { clusterId } of [unpaid, short]) await reconcileCluster(world.ctx, clusterId);
  for (const [reservation, said] of [
    [unpaid, "Nothing was charged."],
    [short, "5.00 USDC arrived; they are not lost, but stay yours as credit."],
  ] as const) {
    const checkout = await look(reservation);
    const html = await renderState(checkout);
    expect({ state: stateOf(checkout), url: checkout.transferUrl }).toEqual({ state: "expired", url: null });
    expect(html).toContain(said);
    expect(html).not.toContain("solana:");
  }
});
