/** What an account sees of its money: balance, ledger and payments, page by page. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../api/context.ts";
import { CHAIN_ACCOUNT, customerAccount, openAccount } from "../../api/ledger/accounts.ts";
import { post } from "../../api/ledger/post.ts";
import { getBalance } from "../../api/payments/balance/get-balance.ts";
import { listTransfers, transferCursor } from "../../api/payments/balance/list-transfers.ts";
import { listPayments, paymentCursor } from "../../api/payments/list-payments.ts";
import { newWorld, type World } from "../clusters/world.ts";
import { type SignedIn, signIn } from "../harness/account.ts";

let world: World;
let owner: SignedIn;
let stranger: SignedIn;

beforeAll(async () => {
  world = await newWorld();
  owner = await signIn(world.services);
  stranger = await signIn(world.services);
});
afterAll(() => world.close());

async function deposit(microUsdc: bigint): Promise<void> {
  const ctx = world.system();
  const credit = customerAccount(owner.account.id);
  await world.db.transaction(async (tx) => {
    await openAccount(ctx, tx, CHAIN_ACCOUNT, "chain");
    await openAccount(ctx, tx, credit, "customer");
    const cause = { reason: "test", reference: newId(ctx, "transfer") };
    await post(ctx, tx, { debit: CHAIN_ACCOUNT, credit, amountMicroUsdc: microUsdc, ...cause });
  });
}

test("a fresh account has nothing, and each list is empty", async () => {
  const zero = { amount: "0.000000", currency: "USDC" };
  expect(await getBalance(stranger.as(), {})).toEqual({
    object: "balance",
    account_id: stranger.account.id,
    available: zero,
    held: zero,
    maturing: zero,
    disputed: zero,
  });
  expect(await listTransfers(stranger.as(), { limit: 20 })).toEqual({ data: [], next_cursor: null });
  expect(await listPayments(stranger.as(), { limit: 20 })).toEqual({ data: [], next_cursor: null });
});

test("a cluster's secret opens no account", async () => {
  const cluster = await world.reserve(world.quote({ nodeIds: [await world.node()] }));
  for (const ask of [
    () => getBalance(world.holder(cluster), {}),
    () => listTransfers(world.holder(cluster), { limit: 20 }),
    () => listPayments(world.holder(cluster), { limit: 20 }),
  ])
    await expect(ask()).rejects.toMatchObject({ code: "credential_invalid" });
});

test("the ledger and the payments of an account, newest first, in pages that neither miss nor repeat", async () => {
  await deposit(50_000_000n);
  for (let rental = 0; rental < 3; rental++) {
    world.clock.pass(1_000);
    const nodeIds = [await world.node()];
    const parts = { payment: { rail: "balance" as const } };
    const idempotencyKey = `rental-${rental}`;
    await world.reserveAs(owner.as({ idempotencyKey }), world.quote({ nodeIds, durationSeconds: 3600 }), parts);
  }
  const balance = await getBalance(owner.as(), {});
  expect(balance.available.amount).toBe("38.660000");
  expect(balance.held.amount).toBe("11.340000");

  const whole = await listTransfers(owner.as(), { limit: 100 });
  expect(whole.data.map(({ kind, direction }) => `${kind} ${direction}`).sort()).toEqual([
    ...Array<string>(3).fill("fund out"),
    ...Array<string>(3).fill("pending out"),
    "posted in",
  ]);
  expect(whole.data.map(({ created_at }) => created_at)).toEqual(
    whole.data
      .map(({ created_at }) => created_at)
      .sort()
      .reverse(),
  );
  const transfers: typeof whole.data = [];
  for (let cursor: string | undefined; ; ) {
    const page = await listTransfers(owner.as(), { limit: 2, ...(cursor === undefined ? {} : { cursor }) });
    transfers.push(...page.data);
    if (page.next_cursor === null) break;
    const last = page.data.at(-1);
    expect(last && transferCursor(last)).toBe(page.next_cursor);
    cursor = page.next_cursor;
  }
  expect(transfers).toEqual(whole.data);

  const payments = await listPayments(owner.as(), { limit: 2 });
  expect(payments.data.map(({ rail, status }) => `${rail} ${status}`)).toEqual(["balance settled", "balance settled"]);
  const [, second] = payments.data;
  expect(second && paymentCursor(second)).toBe(payments.next_cursor);
  const rest = await listPayments(owner.as(), { limit: 2, cursor: payments.next_cursor ?? "" });
  expect(rest.data).toHaveLength(1);
  expect(rest.next_cursor).toBeNull();
  expect((await listPayments(stranger.as(), { limit: 20 })).data).toEqual([]);
  expect((await listTransfers(stranger.as(), { limit: 20 })).data).toEqual([]);
  expect(await world.broken()).toEqual([]);
});

test("cursors of other lists are refused", async () => {
  for (const cursor of ["nonsense", "WyJhIl0", "WyJ4IiwieSJd"]) {
    await expect(listTransfers(owner.as(), { limit: 2, cursor })).rejects.toMatchObject({ code: "invalid_cursor" });
    await expect(listPayments(owner.as(), { limit: 2, cursor })).rejects.toMatchObject({ code: "invalid_cursor" });
  }
});
