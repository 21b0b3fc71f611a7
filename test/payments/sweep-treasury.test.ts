import { eq } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chainCursors, inboundTransfers } from "../../api/db/tables.ts";
import { compareBalance } from "../../api/payments/inbound/compare-balance.ts";
import { sweepTreasury } from "../../api/payments/inbound/sweep-treasury.ts";
import type { Chain } from "../../api/ports/chain.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

let world: MoneyWorld;
beforeEach(async () => {
  world = await newMoneyWorld();
});
afterEach(() => world.close());

const cursor = async () => {
  const [row] = await world.db.select().from(chainCursors).where(eq(chainCursors.name, world.treasuryToken));
  return row;
};
const hasRow = async (signature: string) =>
  (await world.db.select().from(inboundTransfers).where(eq(inboundTransfers.signature, signature))).length === 1;
const chainThat = (parts: Partial<Chain>) => world.with({ chain: { ...world.ctx.chain, ...parts } });

describe("the sweep of the treasury's account", () => {
  test("leaves history behind only when it is final and read", async () => {
    const signature = await world.pay(await world.wallet(), 1_000n);
    world.advance(1);
    await world.sweep();
    expect(await hasRow(signature)).toBe(true);
    expect((await cursor())?.signature).not.toBe(signature);
    world.advance(6);
    await world.sweep();
    expect((await cursor())?.signature).toBe(signature);
    // Known history isn't read again.
    let asked = 0;
    const counting = chainThat({
      transaction: async (...call) => {
        asked++;
        return world.ctx.chain.transaction(...call);
      },
    });
    await world.sweep(counting);
    expect(asked).toBe(0);
  });

  test("doesn't pass a transaction that the node lists and can't show", async () => {
    const signature = await world.pay(await world.wallet(), 1_000n);
    const later = await world.pay(await world.wallet(), 2_000n);
    world.advance(8);
    await world.sweep(
      chainThat({
        transaction: async (asked, commitment) =>
          asked === signature ? null : world.ctx.chain.transaction(asked, commitment),
      }),
    );
    expect(await hasRow(signature)).toBe(false);
    expect(await hasRow(later)).toBe(true);
    await world.sweep();
    expect(await hasRow(signature)).toBe(true);
  });

  test("finds what a node left out of its list, once the balance shows that something is missing", async () => {
    const left = await world.pay(await world.wallet(), 1_000n);
    world.advance(2);
    await world.pay(await world.wallet(), 2_000n);
    world.advance(8);
    const gappy = chainThat({
      signaturesForAddress: async (at, options) =>
        (await world.ctx.chain.signaturesForAddress(at, options)).filter(({ signature }) => signature !== left),
    });
    await world.sweep(gappy);
    await world.sweep();
    expect(await hasRow(left)).toBe(false);
    expect((await compareBalance(world.ctx, "finalized")).differenceMicroUsdc).toBe(1_000n);
    expect((await world.faults()).map((fault) => fault.name)).toEqual([
      "I4 the treasury's account holds what the ledger says (finalized)",
      "I4 the treasury's account holds what the ledger says (confirmed)",
      "I5 every inbound transfer on chain is one row",
    ]);
    await sweepTreasury(world.ctx, "balance");
    await world.catchUp();
    expect(await hasRow(left)).toBe(true);
    expect(await world.faults()).toEqual([]);
  });

  test("looks for what is missing since books and chain last agreed, and only then in all of the history", async () => {
    await world.pay(await world.wallet(), 1_000n);
    await world.catchUp();
    await sweepTreasury(world.ctx, "balance");
    const agreed = await cursor();

    const left = await world.pay(await world.wallet(), 1_000n);
    world.advance(2);
    await world.pay(await world.wallet(), 2_000n);
    world.advance(8);
    const asked: (string | undefined)[] = [];
    const forgetful = (forgotten: string | null) =>
      chainThat({
        signaturesForAddress: async (at, options) => {
          asked.push(options.until);
          return (await world.ctx.chain.signaturesForAddress(at, options)).filter((one) => one.signature !== forgotten);
        },
      });
    await world.sweep(forgetful(left));
    expect(await cursor()).not.toEqual(agreed);

    await sweepTreasury(world.ctx, "balance");
    expect(await cursor()).toEqual(agreed);
    await world.sweep(forgetful(left));
    await sweepTreasury(world.ctx, "balance");
    expect(await cursor()).toBeUndefined();
    await world.sweep(forgetful(null));
    expect(await hasRow(left)).toBe(true);
    expect(asked).toEqual([agreed?.signature, agreed?.signature, undefined]);
    expect(await world.faults()).toEqual([]);
  });

  test("is not misled by a node that has forgotten where we stand", async () => {
    await world.pay(await world.wallet(), 1_000n);
    await world.catchUp();
    const before = await cursor();
    await world.sweep(chainThat({ signaturesForAddress: async () => [] }));
    expect(await cursor()).toEqual(before);
    // It doesn't know `until` and answers with all there is.
    const signature = await world.pay(await world.wallet(), 3_000n);
    world.advance(6);
    await world.sweep(
      chainThat({
        signaturesForAddress: async (at, { until: _unknown, ...options }) =>
          world.ctx.chain.signaturesForAddress(at, options),
      }),
    );
    expect((await cursor())?.signature).toBe(signature);
    expect(await world.faults()).toEqual([]);
  });
});

test("through a chain with every fault at once all payments arrive, each once", async () => {
  let state = 12_345;
  const dice = () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
  const faults = {
    droppedRequest: 0.05,
    droppedResponse: 0.05,
    rateLimit: 0.05,
    laggingNode: 0.2,
    missingTransaction: 0.2,
    truncatedSignatures: 0.1,
    reorderedSignatures: 0.3,
    unsupportedVersion: 0.05,
    minContextSlot: 0.05,
  };
  const faulty = world.with({ chain: world.chainWith(faults, dice) });
  const reservations = [];
  for (let count = 0; count < 12; count++) {
    const reservation = await world.reserve({ amountMicroUsdc: 1_000_000n + BigInt(count) });
    await world.pay(await world.wallet(), reservation.amountMicroUsdc, [reservation.reference]);
    reservations.push(reservation);
    world.advance(1);
  }
  const open = new Set(reservations);
  for (let step = 0; step < 400 && open.size > 0; step++) {
    for (const reservation of open) {
      // A call that fails after all its tries fails the step, which is repeated.
      const outcome = await world.watch(reservation, faulty).catch(() => null);
      if (outcome === "done") open.delete(reservation);
    }
    world.clock.pass(100);
  }
  expect(open.size).toBe(0);
  for (let step = 0; step < 60; step++) {
    await world.sweep(faulty).catch(() => null);
    world.advance(1);
  }
  for (const reservation of reservations) {
    expect(await world.payment(reservation)).toMatchObject({
      status: "settled",
      receivedMicroUsdc: reservation.amountMicroUsdc,
    });
  }
  expect(await world.faults()).toEqual([]);
});
