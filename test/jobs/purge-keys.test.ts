import { afterAll, beforeAll, expect, test } from "vitest";
import { systemContext } from "../../api/context.ts";
import { idempotencyKeys } from "../../api/db/tables.ts";
import { purgeKeys } from "../../api/idempotency/purge-keys.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { testServices } from "../harness/services.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

test("a key is kept until its promise ends, and not for ever", async () => {
  const services = testServices(database);
  const nowMs = services.clock.nowMs();
  const key = (name: string, expiresAt: number) => ({
    scope: "test",
    key: name,
    fingerprint: "f",
    response: {},
    createdAt: 0,
    expiresAt,
  });
  await database.db.insert(idempotencyKeys).values([key("over", nowMs), key("kept", nowMs + 1)]);
  const outcome = await purgeKeys(systemContext(services, new AbortController().signal), "idempotency");
  expect(await database.db.select({ key: idempotencyKeys.key }).from(idempotencyKeys)).toEqual([{ key: "kept" }]);
  expect(outcome).toEqual({ dueAtMs: expect.any(Number) });
});
