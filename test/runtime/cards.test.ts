/** Stripe's library and its notices in workerd: a card fills a balance there, and its bank takes it back. */

import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { generateKeyPairSigner } from "@solana/kit";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { alarms, tasks } from "../../api/db/tables.ts";
import { FakeStripe, type StripeEvent, signatureOf, WEBHOOK_SECRET } from "../cards/fake-stripe.ts";
import { restFace } from "../contract/faces.ts";
import { fail, freshKey, succeed } from "../contract/rentals.ts";
import { signatureOver } from "../harness/account.ts";
import type { TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { createWorkerApp } from "./worker-app.ts";

const stripe = new FakeStripe();
let processor: ReturnType<typeof serve>;
let app: TestApp;

beforeAll(async () => {
  processor = serve({ fetch: stripe.app.fetch, port: 0, hostname: "127.0.0.1" });
  await new Promise((resolve) => processor.once("listening", resolve));
  app = await createWorkerApp({
    environment: {
      VOLLEY_STRIPE_SECRET_KEY: "sk_test_fake",
      VOLLEY_STRIPE_WEBHOOK_SECRETS: WEBHOOK_SECRET,
      VOLLEY_STRIPE_API_URL: `http://127.0.0.1:${(processor.address() as AddressInfo).port}`,
      VOLLEY_CARD_HOLD_SECONDS: "1",
    },
  });
}, 120_000);
afterAll(async () => {
  await app?.close();
  processor?.close();
}, 60_000);

async function tell(event: StripeEvent, sign = signatureOf): Promise<number> {
  const body = JSON.stringify(event);
  const headers = { "content-type": "application/json", "stripe-signature": sign(body, Date.now()) };
  return (await fetch(`${app.url}/v1/webhooks/stripe`, { method: "POST", headers, body })).status;
}

test("a top-up by card is paid, matures, and is disputed", async () => {
  const face = restFace(app.url);
  const wallet = await generateKeyPairSigner();
  const { nonce, message } = await succeed(face, "auth.challenge", { address: wallet.address, purpose: "sign_in" });
  const signature = await signatureOver(wallet, message);
  const { token: secret } = await succeed(face, "auth.session", { nonce, signature });
  const ask = { amount: "25", rail: "stripe" };
  const topup = await succeed(face, "topups.create", ask, { secret, idempotencyKey: freshKey() });
  expect(topup.checkout_url).toMatch(/^https:\/\/checkout\.stripe\.com\//);

  const paid = stripe.pay(topup.id);
  expect(await tell(paid, () => "t=1,v1=00")).toBe(400);
  expect([await tell(paid), await tell(paid)]).toEqual([200, 200]);
  const balance = async () => (await succeed(face, "balance.get", {}, { secret })).available.amount;
  await until("the card's money is balance", async () => (await balance()) === "25.000000");

  expect(await tell(stripe.dispute(topup.id, 2500))).toBe(200);
  await until("the bank has taken it back", async () => (await balance()) === "0.000000");
  await fail(face, "topups.create", ask, "account_frozen", { secret, idempotencyKey: freshKey() });

  await until("the cards were audited", async () => {
    const planned = await app.database.db.select().from(tasks).where(eq(tasks.id, "cards"));
    return planned.some(({ lastProcessedAt }) => lastProcessedAt !== null);
  });
  expect(await app.database.db.select().from(alarms)).toEqual([]);
}, 120_000);
