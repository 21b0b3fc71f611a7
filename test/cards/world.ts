/** Accounts that pay by card: the app's own face for webhooks, the real adapter, Stripe's stand-in over loopback. */
import { createHash } from "node:crypto";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { formatUsdc, type Payment, parseId } from "@volley/schema";
import { and, eq, lte } from "drizzle-orm";
import { newApp } from "../../api/app.ts";
import { type Context, newId } from "../../api/context.ts";
import { cardPayments, customers, payments, sessions, tasks, transfers } from "../../api/db/tables.ts";
import { DOMAIN } from "../../api/domain.ts";
import { runTasks } from "../../api/jobs/engine.ts";
import {
  CARD_ACCOUNT,
  customerAccount,
  disputeAccount,
  escrowAccount,
  LOSS_ACCOUNT,
  openAccount,
} from "../../api/ledger/accounts.ts";
import { auditLedger } from "../../api/ledger/audit-ledger.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { post } from "../../api/ledger/post.ts";
import { insertCardTopup } from "../../api/payments/cards/card-topup.ts";
import { reconcileCard } from "../../api/payments/cards/reconcile-card.ts";
import { createTopup } from "../../api/payments/create-topup.ts";
import { getPayment } from "../../api/payments/get-payment.ts";
import { stripeCards } from "../../api/payments/stripe/stripe-cards.ts";
import { createTestDatabase } from "../harness/database.ts";
import { system, TEST_SETTINGS, testServices } from "../harness/services.ts";
import { FakeStripe, type StripeEvent, signatureOf, WEBHOOK_SECRET } from "./fake-stripe.ts";

export const USDC = 1_000_000n;
export const HOLD_MS = 3_600_000;

let keys = 0;
const actorOf = (accountId: string) => ({
  kind: "bearer" as const,
  tokenHash: createHash("sha256").update(accountId).digest("hex"),
});

export type CardWorld = Awaited<ReturnType<typeof newCardWorld>>;

export async function newCardWorld(connectionsMax = 10) {
  const database = await createTestDatabase(connectionsMax);
  const stripe = new FakeStripe();
  const server = serve({ fetch: stripe.app.fetch, port: 0, hostname: "127.0.0.1" });
  await new Promise((resolve) => server.once("listening", resolve));
  const settings = {
    ...TEST_SETTINGS,
    stripeSecretKey: "sk_test_fake",
    stripeWebhookSecrets: ["whsec_new_secret", WEBHOOK_SECRET],
    stripeApiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cardHoldSeconds: HOLD_MS / 1000,
  };
  const services = testServices(database, { settings, cards: stripeCards(settings) });
  const ctx = system(services);
  const app = newApp({ services: () => services, domain: DOMAIN, metrics: false, callerAddress: () => "192.0.2.1" });

  const world = {
    ...database,
    stripe,
    services,
    ctx,
    settings,
    async account(): Promise<string> {
      const id = newId(ctx, "account");
      const nowMs = ctx.clock.nowMs();
      await database.db.insert(customers).values({ id, wallet: id, createdAt: nowMs });
      const { tokenHash } = actorOf(id);
      await database.db
        .insert(sessions)
        .values({ tokenHash, customerId: id, createdAt: nowMs, expiresAt: Number.MAX_SAFE_INTEGER });
      return id;
    },
    customer: async (id: string) => {
      const [row] = await database.db.select().from(customers).where(eq(customers.id, id));
      if (row === undefined) throw new Error("no such account");
      return row;
    },
    /** Asks for a top-up as the signed-in account does. */
    ask: async (accountId: string, amount = 25n * USDC, parts: Partial<Context> = {}): Promise<Payment> =>
      createTopup(
        { ...ctx, actor: actorOf(accountId), idempotencyKey: `key-${++keys}`, ...parts },
        { amount: formatUsdc(amount), rail: "stripe" },
      ),
    askWallet: async (accountId: string, amount: bigint): Promise<Payment> =>
      createTopup(
        { ...ctx, actor: actorOf(accountId), idempotencyKey: `key-${++keys}` },
        { amount: formatUsdc(amount), rail: "solana_pay" },
      ),
    /** As it is when the process dies between the payment's row and its page. */
    async askAndCrash(accountId: string, amount = 25n * USDC): Promise<string> {
      return (await database.db.transaction((tx) => insertCardTopup(ctx, tx, accountId, amount))).id;
    },
    async topUp(accountId: string, amount = 25n * USDC): Promise<string> {
      return (await world.ask(accountId, amount)).id;
    },
    /** A top-up that was paid and credited. */
    async paid(accountId: string, amount = 25n * USDC): Promise<string> {
      const id = await world.topUp(accountId, amount);
      await world.tell(stripe.pay(id));
      await world.work();
      return id;
    },
    /** Sends an event as Stripe does. */
    async tell(event: StripeEvent, header?: string): Promise<Response> {
      const body = JSON.stringify(event);
      return await app.request("/v1/webhooks/stripe", {
        method: "POST",
        headers: {
          "stripe-signature": header ?? signatureOf(body, ctx.clock.nowMs()),
          "content-type": "application/json",
        },
        body,
      });
    },
    request: (init: RequestInit) => app.request("/v1/webhooks/stripe", init),
    /** Runs the tasks of cards until none is due. */
    async work(): Promise<void> {
      const options = { owner: "test", handlers: { card: reconcileCard }, batch: 10, signal: ctx.signal };
      for (let rounds = 0; rounds < 100; rounds++) if ((await runTasks(services, options)) === 0) return;
      throw new Error("the tasks of cards don't come to an end");
    },
    /** Lets time pass, then works. */
    async pass(ms: number): Promise<void> {
      services.clock.pass(ms);
      await world.work();
    },
    async due() {
      return await database.db
        .select()
        .from(tasks)
        .where(and(eq(tasks.kind, "card"), lte(tasks.dueAt, ctx.clock.nowMs())));
    },
    /** What the signed-in account is told of a payment. */
    read: (accountId: string, id: string) =>
      getPayment({ ...ctx, actor: actorOf(accountId) }, { id: parseId("payment", id) }),
    async payment(id: string) {
      const [row] = await database.db.select().from(payments).where(eq(payments.id, id));
      if (row === undefined) throw new Error("no such payment");
      return row;
    },
    async card(id: string) {
      const [row] = await database.db.select().from(cardPayments).where(eq(cardPayments.paymentId, id));
      if (row === undefined) throw new Error("no such card payment");
      return row;
    },
    /** Where the account's money is, in whole cents so that a failure is easy to read. */
    async money(accountId: string) {
      const cents = async (id: string) => Number((await balanceOf(database.db, id)).postedMicroUsdc / 10_000n);
      const own = await database.db
        .select({ id: payments.id })
        .from(payments)
        .where(eq(payments.customerId, accountId));
      let maturing = 0;
      for (const { id } of own) maturing += await cents(customerAccount(id));
      return {
        balance: await cents(customerAccount(accountId)),
        maturing,
        disputed: await cents(disputeAccount(accountId)),
        loss: await cents(LOSS_ACCOUNT),
        processor: await cents(CARD_ACCOUNT),
      };
    },
    /** The account spends of its balance. */
    async spend(accountId: string, amount: bigint): Promise<void> {
      await database.db.transaction(async (tx) => {
        const cluster = newId(ctx, "cluster");
        await openAccount(ctx, tx, customerAccount(accountId), "customer");
        await openAccount(ctx, tx, escrowAccount(cluster), "escrow");
        await openAccount(ctx, tx, "revenue:platform", "revenue");
        const spent = { amountMicroUsdc: amount, reason: "test", reference: cluster };
        await post(ctx, tx, { ...spent, debit: customerAccount(accountId), credit: escrowAccount(cluster) });
        await post(ctx, tx, { ...spent, debit: escrowAccount(cluster), credit: "revenue:platform" });
      });
    },
    /** USDC come for the account by another way. */
    async give(accountId: string, amount: bigint): Promise<void> {
      await database.db.transaction(async (tx) => {
        await openAccount(ctx, tx, "unallocated:usdc", "unallocated");
        const given = { amountMicroUsdc: amount, reason: "test", reference: newId(ctx, "transfer") };
        await post(ctx, tx, { ...given, debit: "unallocated:usdc", credit: customerAccount(accountId) });
      });
    },
    transfers: () => database.db.select().from(transfers),
    /** Rules of the books that don't hold. */
    faults: async () => (await auditLedger(ctx)).filter((result) => !result.holds),
    async close(): Promise<void> {
      server.close();
      if ("closeAllConnections" in server) server.closeAllConnections();
      await database.close();
    },
  };
  return world;
}
