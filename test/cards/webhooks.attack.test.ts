/** Notices that are forged, old, repeated, foreign or malformed: none of them moves a cent. */
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cardEvents } from "../../api/db/tables.ts";
import { signatureOf } from "./fake-stripe.ts";
import { type CardWorld, newCardWorld } from "./world.ts";

let world: CardWorld;
beforeAll(async () => {
  world = await newCardWorld(20);
});
afterAll(() => world.close());

/** A payment that is paid at Stripe, of which we know nothing yet: the next task step would credit it. */
async function paidUnknown() {
  const account = await world.account();
  const id = await world.topUp(account);
  await world.work();
  const event = world.stripe.pay(id);
  return { account, id, event, body: JSON.stringify(event) };
}

async function expectNothing(eventId: string, answer: Response, code: string): Promise<void> {
  expect(await answer.json()).toMatchObject({ code });
  expect(await world.db.select().from(cardEvents).where(eq(cardEvents.id, eventId))).toEqual([]);
}

test("a signature by any secret but ours is refused", async () => {
  const { event, body } = await paidUnknown();
  const now = world.ctx.clock.nowMs();
  for (const header of [
    signatureOf(body, now, "whsec_of_somebody_else"),
    signatureOf(`${body} `, now),
    signatureOf(body, now).replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    signatureOf(body, now).replace("v1=", "v0="),
    signatureOf(body, now).replace(/^t=\d+/, `t=${Math.floor(now / 1000) + 1}`),
    `t=${Math.floor(now / 1000)},v1=`,
    "t=,v1=",
    "nonsense",
    "",
  ]) {
    const answer = await world.tell(event, header);
    expect(answer.status, header).toBe(400);
    await expectNothing(event.id, answer, "webhook_signature_invalid");
  }
});

test("a notice without a signature is refused", async () => {
  const { event, body } = await paidUnknown();
  await expectNothing(event.id, await world.request({ method: "POST", body }), "webhook_signature_invalid");
});

test("a signature that is older than five minutes is refused", async () => {
  const { event, body } = await paidUnknown();
  const header = signatureOf(body, world.ctx.clock.nowMs());
  world.services.clock.pass(301_000);
  await expectNothing(event.id, await world.tell(event, header), "webhook_signature_invalid");
});

test("each of several secrets verifies, so that one can be replaced by the next", async () => {
  const { account, event, body } = await paidUnknown();
  const answer = await world.tell(event, signatureOf(body, world.ctx.clock.nowMs(), "whsec_new_secret"));
  expect(answer.status).toBe(200);
  await world.work();
  expect(await world.money(account)).toMatchObject({ maturing: 2500 });
});

test("50 times the same notice at once is one event and one credit", async () => {
  const { account, id, event } = await paidUnknown();
  const answers = await Promise.all(Array.from({ length: 50 }, () => world.tell(event)));
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 50 }, () => 200));
  await Promise.all([world.work(), world.work(), world.work()]);
  expect(await world.money(account)).toMatchObject({ maturing: 2500 });
  const known = await world.db.select().from(cardEvents);
  expect(known.filter((one) => one.id === event.id)).toHaveLength(1);
  const moved = (await world.transfers()).filter(({ reference }) => reference.startsWith(id));
  expect(moved).toHaveLength(1);
  expect(await world.faults()).toEqual([]);
});

test("50 notices of one payment, each with an id of its own, are one credit", async () => {
  const { account, id, event } = await paidUnknown();
  await Promise.all(Array.from({ length: 50 }, (_, at) => world.tell({ ...event, id: `${event.id}_${at}` })));
  await Promise.all([world.work(), world.work(), world.work()]);
  expect(await world.money(account)).toMatchObject({ maturing: 2500 });
  expect((await world.transfers()).filter(({ reference }) => reference.startsWith(id))).toHaveLength(1);
});

test("a notice that claims a payment which Stripe doesn't confirm credits nothing", async () => {
  const account = await world.account();
  const id = await world.topUp(account);
  const claimed = { object: "checkout.session", client_reference_id: id, payment_status: "paid", status: "complete" };
  await world.tell(world.stripe.event("checkout.session.completed", claimed));
  await world.work();
  expect(await world.money(account)).toMatchObject({ balance: 0, maturing: 0 });
});

test("a session over our reference that we didn't open is not read", async () => {
  const first = await paidUnknown();
  const account = await world.account();
  const id = await world.topUp(account);
  const foreign = { object: "checkout.session", id: (await world.card(first.id)).sessionId, client_reference_id: id };
  await world.tell(world.stripe.event("checkout.session.completed", foreign));
  await world.work();
  expect(await world.money(account)).toMatchObject({ balance: 0, maturing: 0 });
});

test.each([
  ["of a type that we don't know", "invoice.paid", { object: "invoice" }],
  [
    "of somebody else's session",
    "checkout.session.completed",
    { object: "checkout.session", client_reference_id: null },
  ],
  ["that names what isn't ours", "checkout.session.completed", { client_reference_id: "order-4711" }],
  [
    "of a payment that doesn't exist",
    "checkout.session.completed",
    { client_reference_id: "pay_01h455vb4pex5vsknk084sn02q" },
  ],
  ["of a charge without a payment intent", "charge.refunded", { object: "charge", payment_intent: null }],
  ["of a charge that isn't ours", "charge.refunded", { object: "charge", payment_intent: "pi_foreign" }],
])("a notice %s is acknowledged and leaves nothing", async (_, type, object) => {
  expect((await world.tell(world.stripe.event(type, object))).status).toBe(200);
  await world.work();
  expect(await world.due()).toEqual([]);
});

test("what is signed and no JSON, or too large, is refused", async () => {
  const now = world.ctx.clock.nowMs();
  const text = "no json";
  const bad = await world.request({
    method: "POST",
    headers: { "stripe-signature": signatureOf(text, now) },
    body: text,
  });
  expect(await bad.json()).toMatchObject({ code: "malformed_body" });
  const large = "x".repeat(world.settings.bodyBytesMax + 1);
  const header = signatureOf(large, now);
  const refused = await world.request({ method: "POST", headers: { "stripe-signature": header }, body: large });
  expect(await refused.json()).toMatchObject({ code: "body_too_large" });
});

test("without Stripe's key there is nothing to receive", async () => {
  const { cards } = world.services;
  Object.assign(world.services, { cards: null });
  try {
    const { event } = await paidUnknown().catch(() => ({ event: world.stripe.event("invoice.paid", {}) }));
    expect(await (await world.tell(event)).json()).toMatchObject({ code: "rail_unavailable" });
  } finally {
    Object.assign(world.services, { cards });
  }
});
