import { parseId } from "@volley/schema/ids";
import { eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rows } from "../../api/db/database.ts";
import { alarms, refunds, tasks } from "../../api/db/tables.ts";
import { CHAIN_ACCOUNT, LOSS_ACCOUNT, openAccount } from "../../api/ledger/accounts.ts";
import { publishAlarms } from "../../api/ledger/alarms.ts";
import { auditContinuously, ensureAudits } from "../../api/ledger/audit-continuously.ts";
import { outboundBlocked } from "../../api/ledger/outbound-blocked.ts";
import { post } from "../../api/ledger/post.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { type MoneyWorld, newMoneyWorld, repeat } from "../payments/world.ts";

const STOLEN = 1_000n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

const audit = (id: "money" | "books" = "money") => auditContinuously(world.ctx, id);
/** Nobody runs the other tasks of this world, so only what holds money back is asked for. */
const blocking = async () =>
  (await world.db.select().from(alarms).where(eq(alarms.blocksOutbound, true)).orderBy(alarms.name)).map(
    ({ name }) => name,
  );
const raised = async () => (await world.db.select().from(alarms).orderBy(alarms.name)).map(({ name }) => name);

async function cluster(surplus = 0n) {
  const reservation = await world.reserve({ amountMicroUsdc: 5_000_000n });
  await world.pay(await world.wallet(), 5_000_000n + surplus, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  await world.catchUp();
  return reservation;
}

test("a sound world raises nothing, and the next audit is planned", async () => {
  await cluster();
  expect(await audit("money")).toEqual({ dueAtMs: world.clock.nowMs() + 60_000 });
  expect(await audit("books")).not.toBe("done");
  expect(await blocking()).toEqual([]);
  await ensureAudits(world.db, 7);
  await ensureAudits(world.db, 9);
  expect(await world.db.select().from(tasks).where(eq(tasks.kind, "audit"))).toMatchObject([
    { dueAt: 7 },
    { dueAt: 7 },
    { dueAt: 7 },
  ]);
});

test("a token account that is frozen, taken or closed is an alarm that stops what leaves, until it is well again", async () => {
  const { svm } = world.chain.state;
  const at = world.treasuryToken;
  const well = svm.account(at);
  if (well === null) throw new Error("there is no account");
  const STATE_OFFSET = 108;
  const OWNER_OFFSET = 32;
  const changed = (offset: number, bytes: number[]) => {
    const data = Uint8Array.from(well.data);
    data.set(bytes, offset);
    return { ...well, data };
  };
  const seen = async () => {
    world.advance(1);
    await audit();
    const [alarm] = await world.db.select().from(alarms).where(eq(alarms.name, "treasury_account_unusable"));
    return alarm;
  };
  svm.setAccount(at, changed(STATE_OFFSET, [2]));
  expect(await seen()).toMatchObject({ blocksOutbound: true, detail: expect.stringMatching(/frozen/) });
  svm.setAccount(at, changed(OWNER_OFFSET, Array(32).fill(7)));
  expect((await seen())?.detail).toMatch(/belongs to US517G5965aydkZ46HS38QLi7UQiSojurfbQfKCELFx now/);
  svm.setAccount(at, { ...well, owner: "11111111111111111111111111111111" as never });
  expect((await seen())?.detail).toMatch(/doesn't exist/);
  svm.setAccount(at, well);
  expect(await seen()).toBeUndefined();
  expect(await blocking()).toEqual([]);
});

test("money in flight is no alarm", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: 5_000_000n });
  await world.pay(await world.wallet(), 5_000_000n, [reservation.reference]);
  await audit();
  world.advance(1);
  await world.watch(reservation);
  // In the books at confirmed, and not yet on the finalized chain.
  await audit();
  expect(await blocking()).toEqual([]);
  await world.catchUp();
  await audit();
  expect(await blocking()).toEqual([]);
});

test("what is stolen from the treasury stops what leaves and not what is rented, until it is right again", async () => {
  const reservation = await cluster(3_000_000n);
  const receiver = await world.wallet();
  world.advance(40);
  const refund = await createRefund(world.holder(reservation, "refund"), {
    cluster_id: parseId("cluster", reservation.clusterId),
    to: receiver.address,
  });
  await world.drain(STOLEN);
  world.advance(40);
  await audit();
  expect(await blocking()).toEqual(["chain_differs"]);
  const [alarm] = await world.db.select().from(alarms).where(eq(alarms.name, "chain_differs"));
  expect(alarm).toMatchObject({ blocksOutbound: true });
  expect(alarm?.detail).toContain("0.001000 less than the ledger explains");
  expect(await outboundBlocked(world.db)).toContain("chain_differs");

  const gauges = new Map<string, number>();
  await publishAlarms({
    ...world.ctx,
    metrics: { ...world.ctx.metrics, gauge: (_, value, labels) => gauges.set(labels?.alarm ?? "", value) },
  });
  expect([gauges.get("chain_differs"), gauges.get("ledger_rule_broken")]).toEqual([1, 0]);

  await expect(repeat(world, processRefund, refund.id, world.ctx, 20)).rejects.toThrow("is not done");
  const [waiting] = await world.db.select().from(refunds).where(eq(refunds.id, refund.id));
  expect(waiting?.status).not.toBe("finalized");
  expect(await rows(world.db, sql`SELECT 1 AS signed FROM refund_attempts WHERE refund_id = ${refund.id}`)).toEqual([]);

  // Rentals go on, and what they bring is seen.
  const rented = await cluster();
  expect((await world.payment(rented)).status).toBe("settled");

  // Corrections are new rows: once the loss is in the books, they agree with the chain.
  const { ctx } = world;
  await world.db.transaction(async (tx) => {
    await openAccount(ctx, tx, LOSS_ACCOUNT, "loss");
    const loss = { debit: LOSS_ACCOUNT, credit: CHAIN_ACCOUNT, amountMicroUsdc: STOLEN };
    await post(ctx, tx, { ...loss, reason: "correction", reference: "theft" });
  });
  await audit();
  expect(await blocking()).toEqual([]);
  await world.finishRefund(refund.id);
  const [landed] = await world.db.select().from(refunds).where(eq(refunds.id, refund.id));
  expect(landed?.status).toBe("finalized");
});

test("books that contradict themselves stop what leaves as well", async () => {
  await world.db.execute(sql`UPDATE accounts SET credits_posted = credits_posted + 1
    WHERE id = (SELECT min(id) FROM accounts WHERE kind = 'customer')`);
  await audit("books");
  expect(await blocking()).toEqual(["ledger_rule_broken"]);
  expect(await outboundBlocked(world.db)).toContain("I2");
  await world.db.execute(sql`UPDATE accounts SET credits_posted = credits_posted - 1
    WHERE id = (SELECT min(id) FROM accounts WHERE kind = 'customer')`);
  await audit("books");
  expect(await blocking()).toEqual([]);
});

test.each([
  [
    "a task that keeps failing",
    "task_stuck",
    `INSERT INTO tasks (kind, id, due_at, attempts, last_error) VALUES ('keys', 'x', 9e15, 8, 'no')`,
  ],
  ["a task that nobody takes", "task_stuck", `INSERT INTO tasks (kind, id, due_at) VALUES ('sponsor', 'x', 1)`],
  [
    "a refund that doesn't land",
    "outbound_overdue",
    `INSERT INTO refunds (id, kind, cluster_id, to_address, amount_micro_usdc, status, not_before, created_at) SELECT 'rfd_x', 'refund', id, 'x', 1, 'sent', 1, 1 FROM clusters LIMIT 1`,
  ],
  [
    "a cluster that doesn't stop",
    "cluster_overdue",
    `UPDATE clusters SET status = 'stopping', metered_until = 1, ends_at = 1 WHERE id = (SELECT min(id) FROM clusters)`,
  ],
  [
    "a receipt that isn't signed",
    "receipt_missing",
    `INSERT INTO tasks (kind, id, due_at) VALUES ('receipts', 'x', 1)`,
  ],
])("%s raises an alarm that holds nothing back", async (_, name, statement) => {
  await world.db.delete(tasks);
  await world.db.execute(sql.raw(statement));
  await audit();
  expect(await raised()).toContain(name);
  expect(await outboundBlocked(world.db)).toBeNull();
  await world.db.delete(alarms);
  await world.db.delete(refunds).where(eq(refunds.id, "rfd_x"));
});

test("a transfer that is neither final nor gone after ten minutes is named by an alarm, until it is", async () => {
  const overdue = async () => {
    await audit();
    const [alarm] = await world.db.select().from(alarms).where(eq(alarms.name, "cluster_overdue"));
    return alarm?.detail ?? "";
  };
  const signature = await world.pay(await world.wallet(), 1_000n);
  world.advance(1);
  await world.sweep();
  expect(await overdue()).not.toContain(signature);
  world.clock.pass(11 * 60_000);
  expect(await overdue()).toContain(signature);
  await world.catchUp();
  expect(await overdue()).not.toContain(signature);
});
