/** Many clients at once, each with a connection of its own, on a real Postgres: what only locks and keys can get right. */
import { randomBytes } from "node:crypto";
import type { Id } from "@volley/schema";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { reserveCluster } from "../../api/clusters/reserve.ts";
import { rows } from "../../api/db/database.ts";
import { newMarket } from "../../api/market/market.ts";
import { newWorld, type World } from "./world.ts";

const CLIENTS = 64;
let world: World;
beforeAll(async () => {
  world = await newWorld({ connectionsMax: CLIENTS + 4, parts: { market: newMarket() } });
  // All connections are opened before, so that the clients really meet.
  await Promise.all(Array.from({ length: CLIENTS }, () => world.db.execute(sql`SELECT pg_sleep(0.2)`)));
});
afterEach(async () => {
  expect(await world.broken()).toEqual([]);
});
afterAll(() => world.close());

const outcome = (results: PromiseSettledResult<unknown>[]) => {
  const codes: Record<string, number> = {};
  for (const result of results) {
    const code = result.status === "fulfilled" ? "won" : String(result.reason.code ?? result.reason);
    codes[code] = (codes[code] ?? 0) + 1;
  }
  return codes;
};

async function doubleBooked(): Promise<unknown[]> {
  return rows(
    world.db,
    sql`SELECT node_id, slot, count(*) FROM (
          SELECT node_id, unnest(slots) AS slot FROM leases WHERE released_at IS NULL
        ) AS taken GROUP BY 1, 2 HAVING count(*) > 1`,
  );
}

describe("64 clients", () => {
  test("for the last 24 GPUs of one machine: 24 win, none is sold twice", async () => {
    const nodeId = await world.node(24);
    const tokens = Array.from({ length: CLIENTS }, () => world.quote({ nodeIds: [nodeId] }));
    const results = await Promise.allSettled(tokens.map((token) => world.reserve(token)));
    expect(outcome(results)).toEqual({ won: 24, capacity_gone: 40 });
    expect(await world.free(nodeId)).toBe(0);
    expect(await doubleBooked()).toEqual([]);
  });

  test("for gangs over the same machines in any order: whole gangs or nothing, and no deadlock", async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => world.node(4)));
    const tokens = Array.from({ length: CLIENTS }, (_, client) => {
      const start = client % all.length;
      const nodeIds = [...all.slice(start), ...all.slice(0, start)].slice(0, 3);
      return world.quote({ nodeIds: client % 2 === 0 ? nodeIds : nodeIds.reverse() });
    });
    const results = await Promise.allSettled(tokens.map((token) => world.reserve(token)));
    const codes = outcome(results);
    expect(Object.keys(codes).sort()).toEqual(["capacity_gone", "won"]);
    const free = await Promise.all(all.map((id) => world.free(id)));
    expect(free.reduce((sum, gpus) => sum + gpus, 0)).toBe(24 - 3 * (codes.won ?? 0));
    // Nothing is refused that would have fitted: no three neighbours are left free.
    for (let start = 0; start < all.length; start++) {
      expect([0, 1, 2].every((offset) => (free[(start + offset) % all.length] ?? 0) > 0)).toBe(false);
    }
    expect(await doubleBooked()).toEqual([]);
  });

  test("with one quote: one cluster", async () => {
    const nodeId = await world.node(CLIENTS);
    const token = world.quote({ nodeIds: [nodeId] });
    const results = await Promise.allSettled(Array.from({ length: CLIENTS }, () => world.reserve(token)));
    expect(outcome(results)).toEqual({ won: 1, quote_used: CLIENTS - 1 });
    expect(await world.free(nodeId)).toBe(CLIENTS - 1);
  });

  test("with one key: one cluster and the same answer for all", async () => {
    const nodeId = await world.node(CLIENTS);
    const input = world.input(world.quote({ nodeIds: [nodeId] }));
    const ctx = world.anyone({ idempotencyKey: randomBytes(8).toString("hex") });
    const answers = await Promise.all(Array.from({ length: CLIENTS }, () => reserveCluster(ctx, input)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await world.free(nodeId)).toBe(CLIENTS - 1);
  });

  test("that tear one cluster down: one ends it", async () => {
    const cluster = await world.running([await world.node(1)]);
    world.clock.pass(10_000);
    const results = await Promise.allSettled(Array.from({ length: 16 }, () => world.teardown(cluster)));
    expect(outcome(results)).toEqual({ won: 1, cluster_ended: 15 });
    expect((await world.events(cluster)).filter((type) => type === "cluster.stopping")).toHaveLength(1);
  });
});

describe("64 clients who don't pay", () => {
  const shares = { heldGpusPerCallerPercent: 25, heldGpusPercent: 50 };
  let limited: World;
  let nodeIds: Id<"node">[];
  beforeAll(async () => {
    limited = await newWorld({ connectionsMax: CLIENTS + 4, parts: { market: newMarket() }, settings: shares });
    nodeIds = await Promise.all(Array.from({ length: 4 }, () => limited.node(32)));
  });
  afterAll(() => limited.close());

  async function reserveAll(callerOf: (client: number) => string) {
    const tokens = Array.from({ length: CLIENTS }, (_, client) =>
      limited.quote({ nodeIds: [nodeIds[client % nodeIds.length] as Id<"node">] }),
    );
    return outcome(
      await Promise.allSettled(
        tokens.map((token, client) => limited.reserve(token, {}, { callerHash: callerOf(client) })),
      ),
    );
  }
  const held = async () => 128 - (await Promise.all(nodeIds.map((id) => limited.free(id)))).reduce((a, b) => a + b, 0);

  test("from one address hold their share of the model's GPUs, not one more", async () => {
    expect(await reserveAll(() => "one")).toEqual({ won: 32, holds_exceeded: 32 });
    expect(await held()).toBe(32);
  });

  test("from many addresses hold the share of all, not one more; who pays makes room", async () => {
    await reserveAll((client) => `caller ${client}`);
    expect(await held()).toBeLessThanOrEqual(64);
    // A moment later nothing that was under way is counted twice any more.
    limited.clock.pass(1_000);
    await reserveAll((client) => `caller ${client}`);
    expect(await held()).toBe(64);

    const last = { callerHash: "last" };
    const token = () => limited.quote({ nodeIds: [nodeIds[0] as Id<"node">] });
    limited.clock.pass(1_000);
    await expect(limited.reserve(token(), {}, last)).rejects.toMatchObject({
      code: "holds_exceeded",
      retryAfterSeconds: 60,
    });
    limited.clock.pass(620_000);
    await limited.settle();
    expect(await held()).toBe(0);
    const paid = await limited.reserve(token(), {}, last);
    await limited.pay(paid.payment);
    limited.clock.pass(1_000);
    await limited.reserve(limited.quote({ nodeIds: [...nodeIds, ...nodeIds], gpus: 8 }), {}, last);
    await expect(limited.reserve(token(), {}, last)).rejects.toMatchObject({ code: "holds_exceeded" });
  });
});

describe("two at once", () => {
  /** Runs pairs again and again: which one is first is for the scheduler to say. */
  async function repeatedly(times: number, pair: (round: number) => Promise<void>): Promise<void> {
    for (let round = 0; round < times; round++) await pair(round);
  }

  test("a payment and the expiry: paid in full or given back in full, never both", async () => {
    const seen = new Set<string>();
    await repeatedly(16, async () => {
      const nodeId = await world.node(1);
      const cluster = await world.reserve(world.quote({ nodeIds: [nodeId] }));
      const landedMs = world.clock.nowMs() + 599_000;
      world.clock.pass(600_000 + 5_000);
      await Promise.all([
        world.pay(cluster.payment, undefined, { landedMs }),
        world.settle("expiry"),
        world.settle("other"),
      ]);
      const after = await world.get(cluster);
      seen.add(after.status);
      if (after.status === "expired") {
        expect(after.credit).toEqual(cluster.total);
        expect(await world.free(nodeId)).toBe(1);
      } else {
        expect(["provisioning", "running"]).toContain(after.status);
        expect(after.credit).toEqual({ amount: "0.000000", currency: "USDC" });
        expect(await world.free(nodeId)).toBe(0);
      }
    });
    expect(seen.size).toBeGreaterThan(0);
  });

  test("a teardown, the lease's end and a payment for more time: one end, one bill", async () => {
    await repeatedly(12, async () => {
      const nodeId = await world.node(1);
      const cluster = await world.running([nodeId], {}, 60);
      world.clock.pass(60_000);
      const [torn] = await Promise.allSettled([world.teardown(cluster), world.settle("one"), world.settle("two")]);
      const { bill, status_reason } = await world.get(cluster);
      expect(["released", "lease_ended"]).toContain(status_reason);
      expect(status_reason === "released").toBe(torn.status === "fulfilled");
      expect(bill?.charged).toEqual(cluster.total);
      expect((await world.events(cluster)).filter((type) => type === "cluster.stopping")).toHaveLength(1);
    });
  });

  test("a teardown and the start of the gang: whatever comes first, everything ends up stopped", async () => {
    await repeatedly(12, async () => {
      const nodeId = await world.node(2);
      const cluster = await world.reserve(world.quote({ nodeIds: [nodeId, nodeId] }));
      await world.pay(cluster.payment);
      await world.settle();
      world.clock.pass(2_000);
      await Promise.all([world.teardown(cluster), world.settle("one"), world.settle("two")]);
      await world.reaches(cluster, "stopped");
      expect((await world.get(cluster)).bill?.billed_seconds[0]?.seconds).toBe(0);
      const own = (await world.leases(cluster)).map((lease) => lease.id);
      expect(world.cloud.running().filter((id) => own.includes(id))).toEqual([]);
    });
  });
});
