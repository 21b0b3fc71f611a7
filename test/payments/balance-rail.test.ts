/** Paying for clusters from an account's balance: at once, whole or not at all. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { extendCluster } from "../../api/clusters/extend.ts";
import { getCluster } from "../../api/clusters/get-cluster.ts";
import { teardownCluster } from "../../api/clusters/teardown.ts";
import { newId } from "../../api/context.ts";
import { rows } from "../../api/db/database.ts";
import { alarms, customers } from "../../api/db/tables.ts";
import { CHAIN_ACCOUNT, customerAccount, openAccount, supplierAccount } from "../../api/ledger/accounts.ts";
import { post } from "../../api/ledger/post.ts";
import { getBalance } from "../../api/payments/balance/get-balance.ts";
import { createTopup } from "../../api/payments/create-topup.ts";
import { micro, newWorld, type World } from "../clusters/world.ts";
import { type SignedIn, signIn } from "../harness/account.ts";

/** One GPU for an hour, and the platform's 5 % on top. */
const HOUR_MICRO_USDC = 3_780_000n;

let world: World;
let owner: SignedIn;
beforeAll(async () => {
  world = await newWorld();
});
beforeEach(async () => {
  owner = await signIn(world.services);
});
afterAll(() => world.close());

async function deposit(microUsdc: bigint, who = owner): Promise<void> {
  const ctx = world.system();
  const credit = customerAccount(who.account.id);
  await world.db.transaction(async (tx) => {
    await openAccount(ctx, tx, CHAIN_ACCOUNT, "chain");
    await openAccount(ctx, tx, credit, "customer");
    const cause = { reason: "test", reference: newId(ctx, "transfer") };
    await post(ctx, tx, { debit: CHAIN_ACCOUNT, credit, amountMicroUsdc: microUsdc, ...cause });
  });
}

let keys = 0;
const keyed = (who = owner) => who.as({ idempotencyKey: `key-${++keys}` });
const fromBalance = { payment: { rail: "balance" as const } };
const reserve = async (nodeId: Awaited<ReturnType<World["node"]>>, who = owner) =>
  world.reserveAs(keyed(who), world.quote({ nodeIds: [nodeId] }), fromBalance);
async function balance(who = owner): Promise<{ available: bigint; held: bigint }> {
  const { available, held } = await getBalance(who.as(), {});
  return { available: micro(available.amount), held: micro(held.amount) };
}

describe("a cluster that is paid from the balance", () => {
  test("begins at once, holds its price, and gives back to the balance what it didn't use", async () => {
    await deposit(10_000_000n);
    const cluster = await reserve(await world.node());
    expect(cluster).toMatchObject({ status: "provisioning", payment: { rail: "balance", status: "settled" } });
    expect(cluster.payment.solana_pay).toBeNull();
    expect(await balance()).toEqual({ available: 10_000_000n - HOUR_MICRO_USDC, held: HOUR_MICRO_USDC });
    await world.reaches(cluster, "running", 60_000);
    world.clock.pass(900_000);
    await teardownCluster(keyed(), { id: cluster.id });
    await world.reaches(cluster, "stopped");
    const { bill } = await getCluster(owner.as(), { id: cluster.id });
    const charged = micro(bill?.charged.amount ?? "0");
    expect(charged).toBeGreaterThan(0n);
    expect(charged).toBeLessThan(HOUR_MICRO_USDC / 2n);
    expect(bill?.refund).toMatchObject({ to: "balance", status: "credited" });
    expect(micro(bill?.refund.amount.amount ?? "0")).toBe(HOUR_MICRO_USDC - charged);
    expect(await balance()).toEqual({ available: 10_000_000n - charged, held: 0n });
    expect(await world.broken()).toEqual([]);
  });

  test("is the same one when its account signs in anew and repeats the request, and nobody else's", async () => {
    await deposit(10_000_000n);
    const quote = world.quote({ nodeIds: [await world.node()] });
    const repeated = { idempotencyKey: "repeated" };
    const cluster = await world.reserveAs(owner.as(repeated), quote, fromBalance);
    const later = await signIn(world.services, owner.wallet);
    expect(await world.reserveAs(later.as(repeated), quote, fromBalance)).toEqual(cluster);
    expect((await balance()).held).toBe(HOUR_MICRO_USDC);
    const stranger = await signIn(world.services);
    await expect(world.reserveAs(stranger.as(repeated), quote, fromBalance)).rejects.toMatchObject({
      code: "quote_used",
    });
  });

  test("is refused whole where the balance doesn't reach: no hold, no machine, no cluster", async () => {
    await deposit(HOUR_MICRO_USDC - 1n);
    const nodeId = await world.node();
    await expect(reserve(nodeId)).rejects.toMatchObject({ code: "insufficient_balance" });
    expect(await balance()).toEqual({ available: HOUR_MICRO_USDC - 1n, held: 0n });
    expect(await world.free(nodeId)).toBe(8);
    await deposit(1n);
    await reserve(nodeId);
    expect(await balance()).toEqual({ available: 0n, held: HOUR_MICRO_USDC });
  });

  test("of two, ten, twenty at once, as many begin as there is money for", async () => {
    await deposit(3n * HOUR_MICRO_USDC + 1n);
    const nodeIds = await Promise.all(Array.from({ length: 20 }, () => world.node()));
    const answers = await Promise.allSettled(nodeIds.map((id) => reserve(id)));
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
    const refused = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason.code] : []));
    expect(new Set(refused)).toEqual(new Set(["insufficient_balance"]));
    expect(await balance()).toEqual({ available: 1n, held: 3n * HOUR_MICRO_USDC });
    const free = await Promise.all(nodeIds.map((id) => world.free(id)));
    expect(free.filter((gpus) => gpus === 8)).toHaveLength(17);
    expect(await world.broken()).toEqual([]);
  });

  test("ends beside one that was paid on chain, whoever of the two waits for the other", async () => {
    await deposit(10_000_000n);
    const onChain = await world.reserveAs(keyed(), world.quote({ nodeIds: [await world.node()] }));
    await world.pay(onChain.payment);
    const clusters = [onChain, await reserve(await world.node())];
    for (const cluster of clusters) await world.reaches(cluster, "running", 60_000);
    world.clock.pass(900_000);
    const waiting = async (count: number) => {
      for (;;) {
        const [found] = await rows<{ waiting: number }>(
          world.db,
          sql`SELECT count(*)::integer AS waiting FROM pg_stat_activity
              WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        if (found?.waiting === count) return;
      }
    };
    const supplier = supplierAccount(world.supplierId);
    const ends: Promise<unknown>[] = [];
    await world.db.transaction(async (tx) => {
      await openAccount(world.system(), tx, supplier, "supplier");
      await tx.execute(sql`SELECT 1 FROM accounts WHERE id = ${supplier} FOR NO KEY UPDATE`);
      for (const [index, { id }] of clusters.entries()) {
        ends.push(teardownCluster(keyed(), { id }));
        await waiting(index + 1);
      }
    });
    await Promise.all(ends);
    expect((await balance()).held).toBe(0n);
    expect(await world.broken()).toEqual([]);
  });

  test("can't be paid from somebody else's balance, or from nobody's", async () => {
    await deposit(10_000_000n);
    const stranger = await signIn(world.services);
    await expect(reserve(await world.node(), stranger)).rejects.toMatchObject({ code: "insufficient_balance" });
    const quote = world.quote({ nodeIds: [await world.node()] });
    await expect(world.reserveAs(world.anyone({ idempotencyKey: "nobody" }), quote, fromBalance)).rejects.toMatchObject(
      { code: "unauthenticated" },
    );
    expect(await balance()).toEqual({ available: 10_000_000n, held: 0n });
  });

  test("is refused while the account is frozen", async () => {
    await deposit(10_000_000n);
    await world.db.update(customers).set({ frozenAt: world.clock.nowMs(), frozenReason: "a dispute" });
    try {
      await expect(reserve(await world.node())).rejects.toMatchObject({ code: "account_frozen" });
    } finally {
      await world.db.update(customers).set({ frozenAt: null, frozenReason: null });
    }
    expect(await balance()).toEqual({ available: 10_000_000n, held: 0n });
  });
});

describe("while the treasury's token account can't be used", () => {
  const name = "treasury_account_unusable";
  beforeAll(async () => {
    await world.db.insert(alarms).values({ name, detail: "frozen", blocksOutbound: true, raisedAt: 1, seenAt: 1 });
  });
  afterAll(async () => {
    await world.db.delete(alarms);
  });

  test("nobody is asked to pay on chain, and balances pay as ever", async () => {
    await deposit(10_000_000n);
    const nodeId = await world.node();
    const refused = { code: "unavailable", message: expect.stringContaining("on chain") };
    const onChain = world.reserveAs(world.anyone({ idempotencyKey: "on chain" }), world.quote({ nodeIds: [nodeId] }));
    await expect(onChain).rejects.toMatchObject(refused);
    await expect(createTopup(keyed(), { amount: "25", rail: "solana_pay" })).rejects.toMatchObject(refused);
    expect(await world.free(nodeId)).toBe(8);
    expect(await reserve(nodeId)).toMatchObject({ status: "provisioning" });
  });

  test("what was reserved before can't be extended on chain either", async () => {
    await world.db.delete(alarms);
    const cluster = await world.running([await world.node()]);
    await world.db.insert(alarms).values({ name, detail: "frozen", blocksOutbound: true, raisedAt: 1, seenAt: 1 });
    const extended = extendCluster(world.holder(cluster, { idempotencyKey: "more" }), {
      id: cluster.id,
      duration_seconds: 1800,
      dry_run: false,
    });
    await expect(extended).rejects.toMatchObject({ code: "unavailable" });
  });
});

describe("its extension", () => {
  const extend = async (cluster: Awaited<ReturnType<typeof reserve>>) =>
    extendCluster(keyed(), { id: cluster.id, duration_seconds: 1800, dry_run: false });

  test("is paid from the balance as well, at once", async () => {
    await deposit(3n * HOUR_MICRO_USDC);
    const cluster = await reserve(await world.node());
    await world.reaches(cluster, "running", 60_000);
    const before = await getCluster(owner.as(), { id: cluster.id });
    const { payment } = await extend(cluster);
    expect(payment).toMatchObject({ rail: "balance", purpose: "extend", status: "settled" });
    const after = await getCluster(owner.as(), { id: cluster.id });
    expect(Date.parse(after.ends_at ?? "") - Date.parse(before.ends_at ?? "")).toBe(1_800_000);
    expect((await balance()).available).toBe(
      3n * HOUR_MICRO_USDC - HOUR_MICRO_USDC - micro(payment?.amount.amount ?? "0"),
    );
    expect(await world.broken()).toEqual([]);
  });

  test("changes nothing where the balance doesn't reach", async () => {
    await deposit(HOUR_MICRO_USDC + 1_000n);
    const cluster = await reserve(await world.node());
    await world.reaches(cluster, "running", 60_000);
    const before = await getCluster(owner.as(), { id: cluster.id });
    await expect(extend(cluster)).rejects.toMatchObject({ code: "insufficient_balance" });
    expect((await getCluster(owner.as(), { id: cluster.id })).ends_at).toBe(before.ends_at);
    expect((await balance()).available).toBe(1_000n);
    expect(await world.broken()).toEqual([]);
  });
});

describe("money on chain for a cluster of an account", () => {
  test("that is more than was due is in the balance at the end; what comes after the end goes there at once", async () => {
    const cluster = await world.reserveAs(keyed(), world.quote({ nodeIds: [await world.node()] }));
    await world.pay(cluster.payment, HOUR_MICRO_USDC + 500_000n);
    await world.reaches(cluster, "running", 60_000);
    world.clock.pass(60_000);
    await teardownCluster(keyed(), { id: cluster.id });
    await world.reaches(cluster, "stopped");
    const { bill } = await getCluster(owner.as(), { id: cluster.id });
    const rest = HOUR_MICRO_USDC + 500_000n - micro(bill?.charged.amount ?? "0");
    expect((await balance()).available).toBe(rest);
    await world.pay(cluster.payment, 250_000n);
    expect((await balance()).available).toBe(rest + 250_000n);
    expect(await world.broken()).toEqual([]);
  });

  test("that comes too late for the cluster is in the balance at once", async () => {
    const cluster = await world.reserveAs(keyed(), world.quote({ nodeIds: [await world.node()] }));
    await world.reaches(cluster, "expired");
    await world.pay(cluster.payment);
    expect(await balance()).toEqual({ available: HOUR_MICRO_USDC, held: 0n });
    expect(await world.broken()).toEqual([]);
  });
});
