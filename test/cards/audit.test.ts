/** The auditor goes through what Stripe has taken, and holds back what leaves when the books say otherwise. */
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { alarms, cardPayments } from "../../api/db/tables.ts";
import { auditContinuously } from "../../api/ledger/audit-continuously.ts";
import { outboundBlocked } from "../../api/ledger/outbound-blocked.ts";
import { type CardWorld, newCardWorld } from "./world.ts";

let world: CardWorld;
beforeAll(async () => {
  world = await newCardWorld();
});
afterAll(() => world.close());

/** @param meanwhile what happens in this world between two looks */
const audit = (meanwhile: () => Promise<void>) =>
  auditContinuously({ ...world.ctx, clock: { nowMs: () => world.ctx.clock.nowMs(), sleep: meanwhile } }, "cards");
const nothing = async () => undefined;
const raised = async () => await world.db.select().from(alarms);

test("payments, refunds and disputes that are in the books as Stripe has them raise nothing, over several pages", async () => {
  const account = await world.account();
  const ids = [];
  for (let number = 0; number < 5; number++) ids.push(await world.paid(account));
  await world.tell(world.stripe.refund(ids[0] ?? "", 500));
  await world.tell(world.stripe.dispute(ids[1] ?? "", 2500));
  await world.work();
  await world.topUp(await world.account());
  const before = world.stripe.requests.length;
  expect(await audit(nothing)).toEqual({ dueAtMs: world.ctx.clock.nowMs() + 3_600_000 });
  expect(await raised()).toEqual([]);
  expect(world.stripe.requests.slice(before).filter(({ path }) => path === "/v1/checkout/sessions")).toHaveLength(3);
});

test("a notice that never came is no difference: its payment is asked for before anything is raised", async () => {
  const account = await world.account();
  const id = await world.paid(account);
  world.stripe.refund(id, 100);
  await audit(() => world.work());
  expect(await raised()).toEqual([]);
  expect(await world.card(id)).toMatchObject({ reversedMicroUsdc: 1_000_000n });
});

test("what the books can't be brought to is an alarm that stops what leaves, until it is right", async () => {
  const account = await world.account();
  const lost = await world.paid(account);
  const [row] = await world.db.delete(cardPayments).where(eq(cardPayments.paymentId, lost)).returning();
  if (row === undefined) throw new Error("no row");
  await audit(nothing);
  expect(await raised()).toMatchObject([{ name: "cards_differ", blocksOutbound: true }]);
  expect((await raised())[0]?.detail).toContain(`${lost} (${row.sessionId}): the card processor says paid 25.000000`);
  expect(await outboundBlocked(world.db)).toContain("cards_differ");
  expect((await world.faults()).map(({ name }) => name)).toEqual(["I7 the card processor owes what its payments say"]);
  await world.db.insert(cardPayments).values(row);
  await audit(nothing);
  expect(await raised()).toEqual([]);
  expect(await world.faults()).toEqual([]);
});

test("a payment that the books have and Stripe doesn't is one too", async () => {
  const id = await world.paid(await world.account());
  const sessionId = (await world.card(id)).sessionId;
  const session = world.stripe.sessions.get(sessionId);
  if (session === undefined) throw new Error("no session");
  world.stripe.sessions.delete(sessionId);
  await audit(nothing);
  expect(await raised()).toMatchObject([{ name: "cards_differ" }]);
  expect((await raised())[0]?.detail).toContain(`${id} (${sessionId}): the card processor has no such payment`);
  world.stripe.sessions.set(sessionId, session);
  await audit(nothing);
  expect(await raised()).toEqual([]);
});

test("while Stripe doesn't answer nothing is raised nor ended, and it is tried again", async () => {
  world.stripe.down = 503;
  await expect(audit(nothing)).rejects.toThrow();
  world.stripe.down = null;
  expect(await raised()).toEqual([]);
});
