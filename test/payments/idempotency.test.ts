import { VolleyError } from "@volley/schema/errors";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rows, type Transaction } from "../../api/db/database.ts";
import { canonicalJson } from "../../api/idempotency/key.ts";
import { runIdempotent } from "../../api/idempotency/run-idempotent.ts";
import { type SignedIn, signIn } from "../harness/account.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(60);
  await world.db.execute(sql`CREATE TABLE effects (name text)`);
});
afterAll(() => world.close());

const operation = "refunds.create";
let keys = 0;
const newKey = () => `key-${++keys}`;
const as = (key: string | null, tokenHash = "token") => world.as({ kind: "bearer", tokenHash }, key);
const effect = (name: string) => async (tx: Transaction) => {
  await tx.execute(sql`INSERT INTO effects VALUES (${name})`);
  return { name, made: crypto.getRandomValues(new Uint32Array(1))[0] };
};
const count = async (name: string) => {
  const [row] = await rows<{ count: number }>(
    world.db,
    sql`SELECT count(*)::int AS count FROM effects WHERE name = ${name}`,
  );
  return row?.count;
};

describe("runIdempotent", () => {
  test("50 equal requests at once make one effect and 50 equal answers", async () => {
    const key = newKey();
    const input = { cluster: "a" };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => runIdempotent(as(key), { operation, input }, effect("equal"))),
    );
    expect(new Set(answers.map(canonicalJson)).size).toBe(1);
    expect(await count("equal")).toBe(1);
  });

  test("the same key with other contents is refused, in whatever order the members come", async () => {
    const key = newKey();
    const first = await runIdempotent(as(key), { operation, input: { a: 1, b: [2] } }, effect("contents"));
    expect(await runIdempotent(as(key), { operation, input: { b: [2], a: 1 } }, effect("contents"))).toEqual(first);
    await expect(
      runIdempotent(as(key), { operation, input: { a: 1, b: [3] } }, effect("contents")),
    ).rejects.toMatchObject({ code: "idempotency_mismatch" });
    expect(await count("contents")).toBe(1);
  });

  test("callers and operations have their own keys", async () => {
    const key = newKey();
    await runIdempotent(as(key, "one"), { operation, input: {} }, effect("scope"));
    await runIdempotent(as(key, "two"), { operation, input: {} }, effect("scope"));
    await runIdempotent(as(key, "one"), { operation: "clusters.extend", input: {} }, effect("scope"));
    await runIdempotent(world.as({ kind: "anonymous" }, key), { operation, input: {} }, effect("scope"));
    expect(await count("scope")).toBe(4);
  });

  test("an account keeps its keys when it signs in anew, and no other account has them", async () => {
    const key = newKey();
    const wallet = await world.wallet();
    const [session, later, stranger] = [
      await signIn(world.ctx, wallet),
      await signIn(world.ctx, wallet),
      await signIn(world.ctx),
    ];
    const run = (who: SignedIn) =>
      runIdempotent(who.as({ idempotencyKey: key }), { operation, input: {} }, effect("account"));
    const first = await run(session);
    expect(await run(later)).toEqual(first);
    expect(await count("account")).toBe(1);
    expect(await run(stranger)).not.toEqual(first);
    expect(await count("account")).toBe(2);
  });

  test("an error leaves neither effect nor key behind", async () => {
    const key = newKey();
    const failing = async (tx: Transaction): Promise<{ name: string }> => {
      await effect("error")(tx);
      throw new VolleyError("nothing_to_refund", "no");
    };
    await expect(runIdempotent(as(key), { operation, input: {} }, failing)).rejects.toMatchObject({
      code: "nothing_to_refund",
    });
    expect(await count("error")).toBe(0);
    await runIdempotent(as(key), { operation, input: { other: true } }, effect("error"));
    expect(await count("error")).toBe(1);
  });

  test("the twin of a request that takes long is told to come back", async () => {
    const key = newKey();
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const slow = runIdempotent(as(key), { operation, input: {} }, async (tx) => {
      entered.resolve();
      await release.promise;
      return await effect("slow")(tx);
    });
    await entered.promise;
    await expect(runIdempotent(as(key), { operation, input: {} }, effect("slow"))).rejects.toMatchObject({
      code: "idempotency_in_progress",
      retryAfterSeconds: 1,
    });
    release.resolve();
    const answer = await slow;
    expect(await runIdempotent(as(key), { operation, input: {} }, effect("slow"))).toEqual(answer);
    expect(await count("slow")).toBe(1);
  });

  test("after 30 days a key is free again", async () => {
    const key = newKey();
    await runIdempotent(as(key), { operation, input: {} }, effect("old"));
    world.clock.pass(30 * 86_400_000);
    await runIdempotent(as(key), { operation, input: { other: true } }, effect("old"));
    expect(await count("old")).toBe(2);
  });

  test("a key is required where money moves and optional where the contract says so", async () => {
    await expect(runIdempotent(as(null), { operation, input: {} }, effect("none"))).rejects.toMatchObject({
      code: "idempotency_key_missing",
    });
    await runIdempotent(as(null), { operation: "clusters.teardown", input: {} }, effect("none"));
    expect(await count("none")).toBe(1);
  });
});

test("canonical JSON has one text for equal values", () => {
  expect(canonicalJson({ b: { d: 1, c: [{ y: 1, x: 2 }] }, a: null })).toBe(
    '{"a":null,"b":{"c":[{"x":2,"y":1}],"d":1}}',
  );
});
