/** What suppliers have earned goes to their wallets: by the machinery of refunds, once, and never more than there is. */
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../api/context.ts";
import { alarms, refundAttempts, refunds, suppliers, tasks } from "../../api/db/tables.ts";
import { openAccount, supplierAccount } from "../../api/ledger/accounts.ts";
import { auditOverdue } from "../../api/ledger/audit-overdue.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { LedgerError } from "../../api/ledger/errors.ts";
import { post } from "../../api/ledger/post.ts";
import { associatedTokenAddress } from "../../api/local/chain/keys.ts";
import { listPayouts } from "../../api/payments/payouts/list-payouts.ts";
import { ensurePayouts, paySuppliers } from "../../api/payments/payouts/pay-suppliers.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { signIn } from "../harness/account.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";

const DAY_MS = 86_400_000;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(30);
  // What earnings are paid from.
  await world.pay(await world.wallet(10_000_000_000n), 10_000_000_000n);
  await world.catchUp();
});
afterAll(() => world.close());
// Each test's suppliers only.
beforeEach(async () => {
  await world.db.update(suppliers).set({ payoutAddress: null });
});

let causes = 0;
async function earn(supplierId: string, amountMicroUsdc: bigint): Promise<void> {
  await world.db.transaction(async (tx) => {
    const credit = supplierAccount(supplierId);
    await openAccount(world.ctx, tx, credit, "supplier");
    const cause = { reason: "test", reference: `earned ${++causes}` };
    await post(world.ctx, tx, { debit: "unallocated:usdc", credit, amountMicroUsdc, ...cause });
  });
}

async function supplier(earned: bigint, payoutAddress: string | null): Promise<string> {
  const id = newId(world.ctx, "supplier");
  const createdAt = world.clock.nowMs();
  await world.db.insert(suppliers).values({ id, name: id, class: "network", payoutAddress, createdAt });
  await earn(id, earned);
  return id;
}

const payoutsOf = (id: string) => world.db.select().from(refunds).where(eq(refunds.supplierId, id));
const earningsOf = async (id: string) => (await balanceOf(world.db, supplierAccount(id))).availableMicroUsdc;
const usdcOf = async (owner: string) =>
  (await world.ctx.chain.tokenBalance(associatedTokenAddress(owner, world.chain.usdcMint), "finalized")) ?? 0n;
const wallet = async () => {
  const made = await world.wallet(1n);
  world.advance(2);
  return made;
};

test("what was earned is sent whole, is seen by the wallet that signs in, and comes again when there is more", async () => {
  const own = await wallet();
  const id = await supplier(25_000_000n, own.address);
  expect(await paySuppliers(world.ctx)).toEqual({ dueAtMs: world.clock.nowMs() + DAY_MS });
  const [first] = await payoutsOf(id);
  expect(first).toMatchObject({ kind: "payout", amountMicroUsdc: 25_000_000n, toAddress: own.address });
  expect(await earningsOf(id)).toBe(0n);
  await world.finishRefund(first?.id ?? "");
  expect(await usdcOf(own.address)).toBe(25_000_001n);

  await earn(id, 12_000_000n);
  await paySuppliers(world.ctx);
  const who = await signIn(world.ctx, own);
  const page = await listPayouts(who.as(), { limit: 1 });
  expect(page.data).toMatchObject([
    { object: "payout", supplier_id: id, amount: { amount: "12.000000" }, status: "pending" },
  ]);
  const rest = await listPayouts(who.as(), { limit: 5, cursor: page.next_cursor ?? "" });
  expect(rest).toMatchObject({ data: [{ status: "finalized", signature: expect.any(String) }], next_cursor: null });
  const stranger = await signIn(world.ctx, await wallet());
  expect(await listPayouts(stranger.as(), { limit: 5 })).toEqual({ data: [], next_cursor: null });
  await world.finishRefund(page.data[0]?.id ?? "");
  await world.catchUp();
  expect(await world.faults()).toEqual([]);
});

test("more than one payout may move goes in several, each as soon as the one before has landed", async () => {
  const id = await supplier(2_500_000_000n, (await wallet()).address);
  for (const [amountMicroUsdc, pauseMs] of [
    [1_000_000_000n, 600_000],
    [1_000_000_000n, 600_000],
    [500_000_000n, DAY_MS],
  ] as const) {
    expect(await paySuppliers(world.ctx)).toEqual({ dueAtMs: world.clock.nowMs() + pauseMs });
    const newest = (await payoutsOf(id)).find(({ status }) => status === "pending");
    expect(newest).toMatchObject({ amountMicroUsdc });
    await world.finishRefund(newest?.id ?? "");
  }
  expect(await earningsOf(id)).toBe(0n);
});

test("too little stays, and so does what has no wallet to go to", async () => {
  const little = await supplier(9_999_999n, (await wallet()).address);
  const homeless = await supplier(50_000_000n, null);
  await paySuppliers(world.ctx);
  expect([await payoutsOf(little), await payoutsOf(homeless)]).toEqual([[], []]);
  await earn(little, 1n);
  await paySuppliers(world.ctx);
  expect(await payoutsOf(little)).toHaveLength(1);
});

test("ten runs at once, over more suppliers than one batch, pay each once", async () => {
  const own = (await wallet()).address;
  const ids: string[] = [];
  for (let number = 0; number < 230; number++) ids.push(await supplier(10_000_000n, own));
  await Promise.all(Array.from({ length: 10 }, () => paySuppliers(world.ctx)));
  for (const id of ids) {
    expect(await payoutsOf(id)).toHaveLength(1);
    expect(await earningsOf(id)).toBe(0n);
  }
});

test("one at a time: more is earned while a payout is on its way, and waits for it", async () => {
  const id = await supplier(10_000_000n, (await wallet()).address);
  await paySuppliers(world.ctx);
  await earn(id, 20_000_000n);
  await paySuppliers(world.ctx);
  const [first, ...others] = await payoutsOf(id);
  expect(others).toEqual([]);
  await world.finishRefund(first?.id ?? "");
  await paySuppliers(world.ctx);
  expect((await payoutsOf(id)).map(({ amountMicroUsdc }) => amountMicroUsdc).sort()).toEqual([
    10_000_000n,
    20_000_000n,
  ]);
});

test("the ledger lets no supplier's account go below zero", async () => {
  const id = await supplier(10_000_000n, null);
  const overdraw = world.db.transaction((tx) =>
    post(world.ctx, tx, {
      debit: supplierAccount(id),
      credit: "unallocated:usdc",
      amountMicroUsdc: 10_000_001n,
      reason: "test",
      reference: "overdraw",
    }),
  );
  await expect(overdraw).rejects.toThrow(LedgerError);
});

describe("what stands in the way", () => {
  test("an alarm about the books: nothing is signed until it has ended", async () => {
    const id = await supplier(10_000_000n, (await wallet()).address);
    await paySuppliers(world.ctx);
    const [payout] = await payoutsOf(id);
    const alarm = { name: "chain_differs", detail: "a test", blocksOutbound: true, raisedAt: 1, seenAt: 1 };
    await world.db.insert(alarms).values(alarm);
    await processRefund(world.ctx, payout?.id ?? "");
    expect(await payoutsOf(id)).toMatchObject([{ status: "held" }]);
    const attempts = () =>
      world.db
        .select()
        .from(refundAttempts)
        .where(eq(refundAttempts.refundId, payout?.id ?? ""));
    expect(await attempts()).toEqual([]);
    await world.db.delete(alarms).where(eq(alarms.name, alarm.name));
    await world.finishRefund(payout?.id ?? "");
    expect(await payoutsOf(id)).toMatchObject([{ status: "finalized" }]);
  });

  test("an address that can't receive USDC: they are earnings again, and it is not tried again the same day", async () => {
    const id = await supplier(10_000_000n, world.treasuryToken);
    await paySuppliers(world.ctx);
    const [payout] = await payoutsOf(id);
    expect(await processRefund(world.ctx, payout?.id ?? "")).toBe("done");
    expect(await payoutsOf(id)).toMatchObject([{ status: "cancelled" }]);
    expect(await earningsOf(id)).toBe(10_000_000n);
    await paySuppliers(world.ctx);
    expect(await payoutsOf(id)).toHaveLength(1);
    const overdue = async () => (await auditOverdue(world.ctx)).outboundOverdue;
    expect(await overdue()).toMatchObject({ holds: false, detail: expect.stringContaining(`earnings of ${id}`) });
    const better = (await wallet()).address;
    await world.db.update(suppliers).set({ payoutAddress: better }).where(eq(suppliers.id, id));
    await paySuppliers(world.ctx);
    expect(await payoutsOf(id)).toHaveLength(2);
    expect(await overdue()).toMatchObject({ holds: true });
    expect(await world.faults()).toEqual([]);
  });
});

test("a planned run keeps its time", async () => {
  await ensurePayouts(world.db, 5);
  await ensurePayouts(world.db, 9);
  expect(await world.db.select().from(tasks).where(eq(tasks.kind, "payouts"))).toMatchObject([{ dueAt: 5 }]);
});
