import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rows, sqlState } from "../../api/db/database.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

async function refusal(statement: ReturnType<typeof sql>): Promise<string | null | undefined> {
  try {
    await database.db.execute(statement);
    return null;
  } catch (error) {
    return sqlState(error)?.constraint ?? sqlState(error)?.code;
  }
}

test("a customer's account can't fall below zero, and money moves once per cause", async () => {
  const { db } = database;
  await db.execute(sql`SELECT ledger_open('chain:usdc', 'chain', 1), ledger_open('customer:a', 'customer', 1)`);
  const post = sql`SELECT ledger_post('tr_1', 'chain:usdc', 'customer:a', 5, 'inbound', 'sig:0', 1) AS moved`;
  expect(await rows(db, post)).toEqual([{ moved: true }]);
  const again = sql`SELECT ledger_post('tr_2', 'chain:usdc', 'customer:a', 5, 'inbound', 'sig:0', 1) AS moved`;
  expect(await rows(db, again)).toEqual([{ moved: false }]);
  expect(await refusal(sql`SELECT ledger_post('tr_3', 'customer:a', 'chain:usdc', 6, 'refund', 'r', 1)`)).toBe(
    "accounts_not_negative",
  );
});

test("a hold binds money, posts in part, frees the rest, and is resolved once", async () => {
  const { db } = database;
  await db.execute(sql`SELECT ledger_open('customer:b', 'customer', 1), ledger_open('escrow:b', 'escrow', 1)`);
  await db.execute(sql`SELECT ledger_hold('tr_h', 'customer:b', 'escrow:b', 10, 99, 'hold', 'pay', 1)`);
  expect(await refusal(sql`SELECT ledger_fund('tr_f', 'tr_h', 2)`)).toBe("accounts_not_negative");
  await db.execute(sql`SELECT ledger_post('tr_i', 'chain:usdc', 'customer:b', 10, 'inbound', 'sig:1', 2)`);
  await db.execute(sql`SELECT ledger_fund('tr_f', 'tr_h', 2)`);
  expect(await refusal(sql`SELECT ledger_post('tr_o', 'customer:b', 'chain:usdc', 1, 'refund', 'x', 1)`)).toBe(
    "accounts_not_negative",
  );
  expect(await refusal(sql`SELECT ledger_resolve('tr_r', 'tr_h', 11, 3)`)).toBe("VL003");
  await db.execute(sql`SELECT ledger_resolve('tr_r', 'tr_h', 4, 3)`);
  expect(await refusal(sql`SELECT ledger_resolve('tr_s', 'tr_h', 1, 3)`)).toBe("VL002");
  const balances = await rows(
    db,
    sql`SELECT id, (credits_posted - debits_posted)::int AS balance, debits_pending::int AS held FROM accounts
        WHERE id IN ('customer:b', 'escrow:b') ORDER BY id`,
  );
  expect(balances).toEqual([
    { id: "customer:b", balance: 6, held: 0 },
    { id: "escrow:b", balance: 4, held: 0 },
  ]);
});
