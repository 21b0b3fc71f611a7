import { afterAll, beforeAll, expect, test } from "vitest";
import { systemContext } from "../../api/context.ts";
import { authChallenges, idempotencyKeys, sessions } from "../../api/db/tables.ts";
import { purgeKeys } from "../../api/idempotency/purge-keys.ts";
import { signIn } from "../harness/account.ts";
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

test("a challenge, which anybody may ask for, and a session are kept until they end", async () => {
  const services = testServices(database);
  const nowMs = services.clock.nowMs();
  const who = await signIn(services);
  const challenge = { address: who.wallet.address, purpose: "sign_in" as const, message: "sign this" };
  await database.db.insert(authChallenges).values([
    { ...challenge, nonce: "over", expiresAt: nowMs },
    { ...challenge, nonce: "used", expiresAt: nowMs, usedAt: nowMs - 1 },
    { ...challenge, nonce: "open", expiresAt: nowMs + 1 },
  ]);
  const over = { tokenHash: "over", customerId: who.account.id, createdAt: 0, expiresAt: nowMs };
  await database.db.insert(sessions).values(over);
  await purgeKeys(systemContext(services, new AbortController().signal), "idempotency");
  const kept = await database.db.select({ nonce: authChallenges.nonce }).from(authChallenges);
  expect(kept.map(({ nonce }) => nonce).filter((nonce) => nonce.length === 4)).toEqual(["open"]);
  const open = await database.db.select({ hash: sessions.tokenHash }).from(sessions);
  expect(open.map(({ hash }) => hash)).not.toContain("over");
  expect(open).toHaveLength(1);
});
