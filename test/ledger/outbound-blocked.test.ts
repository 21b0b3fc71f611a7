import { afterAll, beforeAll, expect, test } from "vitest";
import { alarms } from "../../api/db/tables.ts";
import { outboundBlocked } from "../../api/ledger/outbound-blocked.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

test("only an alarm that says so holds money back, and the oldest gives the reason", async () => {
  const { db } = database;
  expect(await outboundBlocked(db)).toBeNull();
  await db.insert(alarms).values({ name: "task_stuck", detail: "x", blocksOutbound: false, raisedAt: 1, seenAt: 1 });
  expect(await outboundBlocked(db)).toBeNull();
  await db.insert(alarms).values([
    { name: "later", detail: "y", blocksOutbound: true, raisedAt: 3, seenAt: 3 },
    { name: "chain_differs", detail: "1 USDC is missing", blocksOutbound: true, raisedAt: 2, seenAt: 2 },
  ]);
  expect(await outboundBlocked(db)).toBe('The alarm "chain_differs" is raised: 1 USDC is missing');
});
