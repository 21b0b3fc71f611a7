/** Paying by card, and all that may go wrong on the way to the balance. */
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { customers } from "../../api/db/tables.ts";
import { showCheckout } from "../../api/payments/cards/card-topup.ts";
import { type CardWorld, HOLD_MS, newCardWorld, USDC } from "./world.ts";

let world: CardWorld;
beforeAll(async () => {
  world = await newCardWorld();
});
afterAll(() => world.close());

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe("a top-up by card", () => {
  test("is paid on Stripe's page, matures, and is balance then", async () => {
    const account = await world.account();
    const shown = await world.ask(account);
    const { id } = shown;
    expect(shown).toMatchObject({
      rail: "stripe",
      purpose: "topup",
      status: "pending",
      cluster_id: null,
      solana_pay: null,
    });
    expect(shown.checkout_url).toMatch(/^https:\/\/checkout\.stripe\.com\//);

    expect((await world.tell(world.stripe.pay(id))).status).toBe(200);
    await world.work();
    expect(await world.payment(id)).toMatchObject({ status: "settled", receivedMicroUsdc: 25n * USDC });
    expect(await world.money(account)).toMatchObject({ balance: 0, maturing: 2500 });
    await expect(world.spend(account, 1n)).rejects.toThrow();

    await world.pass(HOLD_MS - 1);
    expect(await world.money(account)).toMatchObject({ balance: 0, maturing: 2500 });
    await world.pass(1);
    expect(await world.money(account)).toMatchObject({ balance: 2500, maturing: 0 });
    await world.spend(account, 25n * USDC);
    expect(await world.faults()).toEqual([]);
  });

  test("is asked for with what the row says, under a key of its own", async () => {
    const id = await world.topUp(await world.account(), 12_340_000n);
    const created = world.stripe.requests.filter(({ body }) => body.get("client_reference_id") === id);
    expect(created).toHaveLength(1);
    expect(created[0]?.idempotencyKey).toBe(`${id}:checkout`);
    expect(Object.fromEntries(created[0]?.body ?? [])).toMatchObject({
      mode: "payment",
      "payment_method_types[0]": "card",
      "line_items[0][price_data][currency]": "usd",
      "line_items[0][price_data][unit_amount]": "1234",
      "metadata[payment_id]": id,
      "payment_intent_data[metadata][payment_id]": id,
      "adaptive_pricing[enabled]": "false",
    });
  });

  test("is credited without a single webhook too", async () => {
    const account = await world.account();
    const id = await world.topUp(account);
    world.stripe.pay(id);
    await world.pass(60_000);
    expect(await world.money(account)).toMatchObject({ maturing: 2500 });
  });

  test("that nobody pays is closed at Stripe, and can't be paid any more", async () => {
    const id = await world.topUp(await world.account());
    await world.pass(HOUR_MS);
    expect(await world.payment(id)).toMatchObject({ status: "expired" });
    expect(await world.card(id)).toMatchObject({ status: "failed", revision: 1 });
    expect(() => world.stripe.pay(id)).toThrow("closed");
    expect(await world.due()).toEqual([]);
  });

  test("that is paid in the last moment counts, though its task wanted to close it", async () => {
    const account = await world.account();
    const id = await world.topUp(account);
    await world.pass(HOUR_MS - 1);
    world.stripe.pay(id);
    await world.pass(1);
    expect(await world.payment(id)).toMatchObject({ status: "settled" });
  });

  test("by a way that takes days is detected, and credited when the money is there", async () => {
    const account = await world.account();
    const id = await world.topUp(account);
    await world.tell(world.stripe.payLater(id));
    await world.work();
    expect(await world.payment(id)).toMatchObject({ status: "detected", receivedMicroUsdc: 0n });
    await world.pass(3 * DAY_MS);
    expect(await world.payment(id)).toMatchObject({ status: "detected" });
    await world.tell(world.stripe.arrive(id));
    await world.work();
    expect(await world.money(account)).toMatchObject({ maturing: 2500 });
  });

  test.each([
    ["another amount", { amount_total: 2499 }],
    ["another currency", { currency: "eur" }],
  ])("of %s than was asked for is not credited", async (_, change) => {
    const account = await world.account();
    const id = await world.topUp(account);
    world.stripe.tamper(id, change);
    await world.tell(world.stripe.pay(id));
    await world.work();
    expect(await world.money(account)).toMatchObject({ balance: 0, maturing: 0 });
    expect(await world.payment(id)).toMatchObject({ status: "pending" });
    expect(String(world.services.log.at(-1)?.fields?.error)).toContain("nothing is credited");
  });
});

describe("limits", () => {
  test("what is open or maturing is bounded for each account, also for requests at once", async () => {
    const account = await world.account();
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => world.ask(account, 100n * USDC)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "amount_out_of_range" });
    }
  });

  test("what has matured doesn't count any more", async () => {
    const account = await world.account();
    await world.paid(account, 500n * USDC);
    await expect(world.ask(account, 1n * USDC)).rejects.toMatchObject({ code: "amount_out_of_range" });
    await world.pass(HOLD_MS);
    await world.ask(account, 500n * USDC);
  });

  test.each([
    ["less than a dollar", 990_000n],
    ["parts of a cent", 25_000_001n],
  ])("%s is refused", async (_, amount) => {
    await expect(world.ask(await world.account(), amount)).rejects.toMatchObject({ code: "amount_out_of_range" });
  });

  test("without Stripe's key there are no cards", async () => {
    const without = { cards: null };
    await expect(world.ask(await world.account(), USDC, without)).rejects.toMatchObject({ code: "rail_unavailable" });
  });
});

describe("when Stripe or we fail", () => {
  test("a crash before the page was opened: the task opens it", async () => {
    const id = await world.askAndCrash(await world.account());
    await world.work();
    expect((await world.payment(id)).checkoutUrl).toContain("checkout.stripe.com");
  });

  test("a crash after the page was opened, before that was written down: the same page is found", async () => {
    const id = await world.askAndCrash(await world.account());
    world.stripe.faults.push("lost", "lost");
    await expect(showCheckout(world.ctx, id)).rejects.toMatchObject({ code: "unavailable" });
    const { checkout_url: url } = await showCheckout(world.ctx, id);
    const pages = [...world.stripe.sessions.values()].filter((session) => session.client_reference_id === id);
    expect(pages).toHaveLength(1);
    expect(url).toContain(pages[0]?.id);
  });

  test("50 requests at once with one Idempotency-Key are one payment with one page", async () => {
    const account = await world.account();
    const parts = { idempotencyKey: "one-key-for-all" };
    const shown = await Promise.all(Array.from({ length: 50 }, () => world.ask(account, 25n * USDC, parts)));
    expect(new Set(shown.map(({ id, checkout_url }) => `${id} ${checkout_url}`)).size).toBe(1);
    const pages = [...world.stripe.sessions.values()].filter(
      ({ client_reference_id }) => client_reference_id === shown[0]?.id,
    );
    expect(pages).toHaveLength(1);
  });

  test("a page asked for 50 times at once is one", async () => {
    const id = await world.askAndCrash(await world.account());
    const shown = await Promise.all(Array.from({ length: 50 }, () => showCheckout(world.ctx, id)));
    expect(new Set(shown.map((payment) => payment.checkout_url)).size).toBe(1);
    expect([...world.stripe.sessions.values()].filter((session) => session.client_reference_id === id)).toHaveLength(1);
  });

  test.each([429, 500, 503])("status %i for a while: nothing is lost, and it goes on later", async (status) => {
    const account = await world.account();
    const id = await world.askAndCrash(account);
    world.stripe.down = status;
    await expect(showCheckout(world.ctx, id)).rejects.toMatchObject({ code: "unavailable" });
    world.stripe.down = null;
    await showCheckout(world.ctx, id);
    await world.tell(world.stripe.pay(id));
    world.stripe.down = status;
    await world.work();
    expect(await world.money(account)).toMatchObject({ maturing: 0 });
    world.stripe.down = null;
    await world.pass(60_000);
    expect(await world.money(account)).toMatchObject({ maturing: 2500 });
  });

  test("a payment whose page never could be opened ends", async () => {
    const id = await world.askAndCrash(await world.account());
    world.services.clock.pass(HOUR_MS);
    await world.work();
    expect(await world.payment(id)).toMatchObject({ status: "expired" });
  });

  test("a frozen account can't be topped up", async () => {
    const account = await world.account();
    await world.db.update(customers).set({ frozenAt: 1, frozenReason: "a list" }).where(eq(customers.id, account));
    await expect(world.ask(account)).rejects.toMatchObject({ code: "account_frozen" });
  });
});
