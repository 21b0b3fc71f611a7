import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

describe("a payment by reference", () => {
  test("exact: settles, funds the hold and lets the cluster begin", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: 12_345_678n });
    const payer = await world.wallet();
    const signature = await world.pay(payer, 12_345_678n, [reservation.reference]);
    world.advance(1);
    expect(await world.watch(reservation)).toBe("done");
    expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: 12_345_678n });
    expect(await world.cluster(reservation)).toMatchObject({ status: "provisioning" });
    expect((await world.inbound()).find((row) => row.signature === signature)).toMatchObject({
      paymentId: reservation.paymentId,
      sourceOwner: payer.address,
      finality: "confirmed",
    });
    expect(await world.faults()).toEqual([]);
  });
});
