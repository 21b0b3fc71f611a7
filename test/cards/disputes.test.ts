/** Money that goes back: by refunds and disputes, before and after it was spent, in whatever order they are told. */
import { eq } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { customers } from "../../api/db/tables.ts";
import { CARD_ACCOUNT } from "../../api/ledger/accounts.ts";
import { LedgerError } from "../../api/ledger/errors.ts";
import { applyCardState } from "../../api/payments/cards/apply-card-state.ts";
import { recordInbound } from "../../api/payments/inbound/record-inbound.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import type { StripeEvent } from "./fake-stripe.ts";
import { type CardWorld, HOLD_MS, newCardWorld, USDC } from "./world.ts";

let world: CardWorld;
beforeAll(async () => {
  world = await newCardWorld();
});
afterAll(() => world.close());

/** An account with a top-up of 25 dollars, matured or not, of which so much was spent. */
async function customer(state: "maturing" | "matured", spent = 0n): Promise<{ account: string; id: string }> {
  const account = await world.account();
  const id = await world.paid(account);
  if (state === "matured") await world.pass(HOLD_MS);
  if (spent > 0n) await world.spend(account, spent);
  return { account, id };
}

async function tell(event: StripeEvent): Promise<void> {
  expect((await world.tell(event)).status).toBe(200);
  await world.work();
}

/** Without what other tests have made of the accounts that all share. */
async function moneyOf(account: string) {
  const { balance, maturing, disputed } = await world.money(account);
  return { balance, maturing, disputed };
}

const statusOf = async (account: string, id: string) => (await world.read(account, id)).status;
const isFrozen = async (account: string) => (await world.customer(account)).frozenAt !== null;

describe("refunds", () => {
  test("of money that has not matured take it from there", async () => {
    const { account, id } = await customer("maturing");
    await tell(world.stripe.refund(id, 1000));
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 1500, disputed: 0 });
    await world.pass(HOLD_MS);
    expect(await moneyOf(account)).toEqual({ balance: 1500, maturing: 0, disputed: 0 });
    expect(await statusOf(account, id)).toBe("settled");
    await tell(world.stripe.refund(id, 1500));
    expect(await statusOf(account, id)).toBe("refunded");
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 0 });
    expect(await world.card(id)).toMatchObject({ reversedMicroUsdc: 25n * USDC, lossMicroUsdc: 0n });
    expect(await isFrozen(account)).toBe(false);
  });

  test("of money that was spent freeze the account, and what comes later pays for them", async () => {
    const { account, id } = await customer("matured", 20n * USDC);
    await tell(world.stripe.refund(id, 2500));
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 0 });
    expect(await world.card(id)).toMatchObject({ reversedMicroUsdc: 25n * USDC, lossMicroUsdc: 20n * USDC });
    expect(await isFrozen(account)).toBe(true);
    await expect(world.ask(account)).rejects.toMatchObject({ code: "account_frozen" });

    await world.give(account, 30n * USDC);
    await world.pass(86_400_000);
    expect(await moneyOf(account)).toEqual({ balance: 1000, maturing: 0, disputed: 0 });
    expect(await isFrozen(account)).toBe(false);
  });

  test("of money that was spent can be paid off by a top-up from a wallet, though not by card", async () => {
    const { account, id } = await customer("matured", 20n * USDC);
    await tell(world.stripe.refund(id, 2500));
    await expect(world.ask(account)).rejects.toMatchObject({ code: "account_frozen" });
    const topup = await world.askWallet(account, 21n * USDC);
    const { reference } = solanaPayOf(topup);
    await recordInbound(world.ctx, {
      signature: topup.id,
      slot: 1n,
      blockTimeSeconds: null,
      transfers: [{ index: 0, amountMicroUsdc: 21n * USDC, sourceOwner: null, referenceKeys: [], reference }],
      finality: "finalized",
    });
    await world.work();
    expect(await moneyOf(account)).toEqual({ balance: 100, maturing: 0, disputed: 0 });
    expect(await world.card(id)).toMatchObject({ lossMicroUsdc: 0n });
    expect(await isFrozen(account)).toBe(false);
  });

  test("that took nothing which was spent leave a frozen account without a top-up to make", async () => {
    const { account, id } = await customer("matured");
    await tell(world.stripe.dispute(id, 2500));
    await expect(world.askWallet(account, 5n * USDC)).rejects.toMatchObject({ code: "account_frozen" });
    const other = await customer("matured", 20n * USDC);
    const byHand = { frozenAt: 1, frozenReason: "by hand" };
    await world.db.update(customers).set(byHand).where(eq(customers.id, other.account));
    await tell(world.stripe.refund(other.id, 2500));
    await expect(world.askWallet(other.account, 5n * USDC)).rejects.toMatchObject({ code: "account_frozen" });
  });

  test("are not undone by what was read before them and comes to be applied after", async () => {
    const account = await world.account();
    const id = await world.paid(account);
    const before = await world.card(id);
    const read = await world.services.cards?.read(before.sessionId);
    if (read === undefined) throw new Error("there are no cards");
    await world.tell(world.stripe.refund(id, 1000));
    await world.work();
    expect(await applyCardState(world.ctx, before, read)).toBeNull();
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 1500, disputed: 0 });
    expect(await world.card(id)).toMatchObject({ reversedMicroUsdc: 10n * USDC });
    expect(await world.faults()).toEqual([]);
  });

  test("that fail come back", async () => {
    const { account, id } = await customer("matured");
    await tell(world.stripe.refund(id, 2500));
    expect(await statusOf(account, id)).toBe("refunded");
    await tell(world.stripe.failRefund(id, 2500));
    expect(await statusOf(account, id)).toBe("settled");
    expect(await moneyOf(account)).toEqual({ balance: 2500, maturing: 0, disputed: 0 });
    expect(await world.faults()).toEqual([]);
  });
});

describe("disputes", () => {
  test("that are won give everything back, and end the freeze", async () => {
    const { account, id } = await customer("matured", 10n * USDC);
    await tell(world.stripe.dispute(id, 2500));
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 2500 });
    expect(await isFrozen(account)).toBe(true);
    await tell(world.stripe.decide(id, "won"));
    expect(await moneyOf(account)).toEqual({ balance: 1500, maturing: 0, disputed: 0 });
    expect(await world.card(id)).toMatchObject({ lossMicroUsdc: 0n, disputeStatus: "won" });
    expect(await isFrozen(account)).toBe(false);
    expect(await world.faults()).toEqual([]);
  });

  test("that are won before the money has matured let it go on maturing", async () => {
    const { account, id } = await customer("maturing");
    await tell(world.stripe.dispute(id, 2500));
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 2500 });
    await tell(world.stripe.decide(id, "won"));
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 2500, disputed: 0 });
  });

  test("that are lost take the money away for good, and the account stays frozen", async () => {
    const { account, id } = await customer("matured");
    await tell(world.stripe.dispute(id, 2500));
    expect(await statusOf(account, id)).toBe("settled");
    await tell(world.stripe.decide(id, "lost"));
    expect(await statusOf(account, id)).toBe("refunded");
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 0 });
    expect(await world.card(id)).toMatchObject({ reversedMicroUsdc: 25n * USDC, disputeStatus: "lost" });
    expect(await isFrozen(account)).toBe(true);
  });

  test("of one payment leave the money of another alone while it matures", async () => {
    const { account, id } = await customer("matured", 25n * USDC);
    await world.paid(account, 10n * USDC);
    await tell(world.stripe.dispute(id, 2500));
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 1000, disputed: 2500 });
  });

  test("that are only inquiries move nothing", async () => {
    const { account, id } = await customer("matured");
    await tell(world.stripe.dispute(id, 2500, "warning_needs_response"));
    expect(await moneyOf(account)).toEqual({ balance: 2500, maturing: 0, disputed: 0 });
    expect(await isFrozen(account)).toBe(false);
  });

  test("end no freeze that others have made", async () => {
    const { account, id } = await customer("matured");
    const screened = { frozenAt: 1, frozenReason: "a list" };
    await world.db.update(customers).set(screened).where(eq(customers.id, account));
    await tell(world.stripe.dispute(id, 2500));
    await tell(world.stripe.decide(id, "won"));
    expect(await world.customer(account)).toMatchObject(screened);
  });

  test("told of before the payment are found all the same", async () => {
    const account = await world.account();
    const id = await world.topUp(account);
    const paid = world.stripe.pay(id);
    const disputed = world.stripe.dispute(id, 2500);
    await tell(disputed);
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 2500 });
    await tell(paid);
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 2500 });
    expect(await world.transfers().then((all) => all.filter(({ reference }) => reference.startsWith(id)))).toHaveLength(
      2,
    );
  });

  test("that nobody tells us of are found the next day", async () => {
    const { account, id } = await customer("matured");
    world.stripe.dispute(id, 2500);
    await world.pass(86_400_000);
    expect(await moneyOf(account)).toEqual({ balance: 0, maturing: 0, disputed: 2500 });
  });
});

/** What can happen to a payment; which of it is told, in which order and how often is drawn too. */
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("refund" as const), cents: fc.integer({ min: 1, max: 1500 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("dispute" as const), cents: fc.integer({ min: 1, max: 2500 }) }),
  },
  fc.record({ kind: fc.constant("decide" as const), as: fc.constantFrom("won" as const, "lost" as const) }),
  fc.record({ kind: fc.constant("failed refund" as const) }),
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("spend" as const), cents: fc.integer({ min: 1, max: 2500 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(1000, HOLD_MS) }) },
  fc.record({ kind: fc.constant("deliver" as const), which: fc.nat(), times: fc.integer({ min: 1, max: 3 }) }),
);

test("whatever happens, in whatever order it is told: the books balance, and end where Stripe says", {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), fc.boolean(), async (steps, interleaved) => {
      const account = await world.account();
      const id = await world.topUp(account);
      const untold: StripeEvent[] = [world.stripe.pay(id)];
      const truth = { refunded: 0, contested: 0, lost: 0, lastRefund: 0 };
      for (const one of steps) {
        if (one.kind === "refund") {
          const cents = Math.min(one.cents, 2500 - truth.refunded - truth.contested - truth.lost);
          if (cents <= 0) continue;
          untold.push(world.stripe.refund(id, cents));
          truth.refunded += cents;
          truth.lastRefund = cents;
        } else if (one.kind === "failed refund") {
          if (truth.lastRefund === 0) continue;
          untold.push(world.stripe.failRefund(id, truth.lastRefund));
          truth.refunded -= truth.lastRefund;
          truth.lastRefund = 0;
        } else if (one.kind === "dispute") {
          const cents = Math.min(one.cents, 2500 - truth.refunded - truth.contested - truth.lost);
          if (cents <= 0) continue;
          untold.push(world.stripe.dispute(id, cents));
          truth.contested += cents;
        } else if (one.kind === "decide") {
          untold.push(world.stripe.decide(id, one.as));
          if (one.as === "lost") truth.lost += truth.contested;
          truth.contested = 0;
        } else if (one.kind === "spend") {
          await world.spend(account, BigInt(one.cents) * 10_000n).catch((error) => {
            if (!(error instanceof LedgerError)) throw error;
          });
        } else if (one.kind === "pass") await world.pass(one.ms);
        else {
          const event = untold[one.which % untold.length];
          if (event !== undefined) await Promise.all(Array.from({ length: one.times }, () => world.tell(event)));
          if (interleaved) await world.work();
        }
      }
      for (const event of untold.reverse()) await world.tell(event);
      await world.work();

      const card = await world.card(id);
      expect(card.contestedMicroUsdc).toBe(BigInt(truth.contested) * 10_000n);
      expect(card.reversedMicroUsdc).toBe(BigInt(truth.refunded + truth.lost) * 10_000n);
      // What the processor owes us is what was paid less what went back.
      const mine = (await world.transfers()).filter(({ reference }) => reference.startsWith(id));
      const owed = mine.reduce(
        (sum, { debitAccount, creditAccount, amountMicroUsdc }) =>
          sum +
          (debitAccount === CARD_ACCOUNT ? amountMicroUsdc : creditAccount === CARD_ACCOUNT ? -amountMicroUsdc : 0n),
        0n,
      );
      expect(owed).toBe(BigInt(2500 - truth.refunded - truth.lost) * 10_000n);
      expect(await world.money(account)).toMatchObject({ disputed: truth.contested });
      expect(await world.faults()).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
