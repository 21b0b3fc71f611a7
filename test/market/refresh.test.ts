import { eq, inArray, sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Context } from "../../api/context.ts";
import { insertNetwork, NetworkExistsError } from "../../api/db/seed/insert-network.ts";
import { seedNodes } from "../../api/db/seed/network.ts";
import { nodes } from "../../api/db/tables.ts";
import { NetworkIndex } from "../../api/market/index/network-index.ts";
import { readNetwork } from "../../api/market/index/read-nodes.ts";
import { newMarket } from "../../api/market/market.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { system, testServices } from "../harness/services.ts";
import { contentsOf } from "./index-contents.ts";

const SEED = { nodes: 400, seed: 5 };
const CHANGED = sql`(pg_current_xact_id()::text)::bigint`;

let database: TestDatabase;
let ctx: Context;

beforeAll(async () => {
  database = await createTestDatabase();
  await insertNetwork(database.url, SEED, 1_700_000_000_000);
  ctx = system(testServices(database));
});
afterAll(() => database.close());

const fromDatabase = async () => contentsOf((await readNetwork(database.db)).index);

describe("the seeded network", () => {
  test("reads back as it was generated", async () => {
    const generated = new NetworkIndex();
    generated.load(seedNodes(SEED));
    expect(await fromDatabase()).toEqual(contentsOf(generated));
  });

  test("is the same for the same seed, and another for another", () => {
    const first = [...seedNodes(SEED)];
    expect([...seedNodes(SEED)]).toEqual(first);
    expect([...seedNodes({ ...SEED, seed: 6 })]).not.toEqual(first);
  });

  test("is not inserted twice", async () => {
    await expect(insertNetwork(database.url, SEED, 1_700_000_000_000)).rejects.toBeInstanceOf(NetworkExistsError);
  });

  test("at full size has 1,000,000 GPUs of 60 models in 139 countries", () => {
    const models = new Set<string>();
    const countries = new Set<string>();
    let gpus = 0;
    let machines = 0;
    for (const node of seedNodes({ nodes: 190_000, seed: 42 })) {
      machines++;
      gpus += node.gpusTotal;
      models.add(node.gpu);
      countries.add(node.country);
    }
    expect([machines, gpus, models.size, countries.size]).toEqual([190_000, 1_000_000, 60, 139]);
  });
});

describe("a refresh", () => {
  test("brings changed, new and offline machines, with names of two lines on one", async () => {
    const market = newMarket();
    await market.refresh(ctx);
    const ids = [...seedNodes(SEED)].slice(0, 60).map((node) => node.id);
    await database.db
      .update(nodes)
      .set({ gpusFree: 0, priceMicroUsdcPerGpuHour: 123_456n, changeXid: CHANGED })
      .where(inArray(nodes.id, ids.slice(0, 20)));
    await database.db
      .update(nodes)
      .set({ status: "offline", region: "two\nlines", changeXid: CHANGED })
      .where(inArray(nodes.id, ids.slice(20, 40)));
    await database.db
      .update(nodes)
      .set({ reliabilityPpm: 1, fabric: "new\nfabric", latitude: -12.3456, changeXid: CHANGED })
      .where(inArray(nodes.id, ids.slice(40)));
    await insertNetwork(database.url, { nodes: 3, seed: 77 }, 1_700_000_000_000);
    const before = contentsOf(await market.network(ctx));
    await market.refresh(ctx);
    const after = contentsOf(await market.network(ctx));
    expect(after).not.toEqual(before);
    expect(after).toEqual(await fromDatabase());
    expect(after.rows[ids[25] as string]).toMatchObject({ total: 0, region: "two lines" });
  });

  test("finds what a transaction wrote that began before the last read and ended after it", async () => {
    const market = newMarket();
    const id = [...seedNodes(SEED)][100]?.id as string;
    await database.db.transaction(async (late) => {
      await late.update(nodes).set({ priceMicroUsdcPerGpuHour: 999n, changeXid: CHANGED }).where(eq(nodes.id, id));
      // Others commit meanwhile, and readers read.
      await database.db
        .update(nodes)
        .set({ changeXid: CHANGED })
        .where(eq(nodes.id, [...seedNodes(SEED)][101]?.id as string));
      await market.refresh(ctx);
      await market.refresh(ctx);
    });
    await market.refresh(ctx);
    const index = await market.network(ctx);
    expect(index.columns.price[index.rowOf(id)]).toBe(999);
  });

  test("of a network that has changed as a whole reads it anew", async () => {
    const market = newMarket();
    await market.refresh(ctx);
    const index = await market.network(ctx);
    await insertNetwork(database.url, { nodes: 1200, seed: 78 }, 1_700_000_000_000);
    await market.refresh(ctx);
    expect(await market.network(ctx)).not.toBe(index);
    expect(contentsOf(await market.network(ctx))).toEqual(await fromDatabase());
  });

  test("several at once end with what the database says", async () => {
    const market = newMarket();
    await market.refresh(ctx);
    const ids = [...seedNodes(SEED)].slice(200, 230).map((node) => node.id);
    await Promise.all(
      ids.flatMap((id, at) => [
        database.db
          .update(nodes)
          .set({ priceMicroUsdcPerGpuHour: BigInt(at), changeXid: CHANGED })
          .where(eq(nodes.id, id)),
        market.refresh(ctx),
      ]),
    );
    await market.refresh(ctx);
    expect(contentsOf(await market.network(ctx))).toEqual(await fromDatabase());
  });
});

describe("the market", () => {
  test("reads the network when first asked, and again by itself only once it is old", async () => {
    const services = testServices(database);
    const market = newMarket({ refreshAfterMs: 1000 });
    expect(market.isLoaded()).toBe(false);
    const index = await market.network(services);
    expect(market.isLoaded()).toBe(true);
    const id = index.columns.ids[0] as string;
    const price = async () => (await market.network(services)).columns.price[index.rowOf(id)];
    await database.db
      .update(nodes)
      .set({ priceMicroUsdcPerGpuHour: 4242n, changeXid: CHANGED })
      .where(eq(nodes.id, id));
    services.clock.pass(1000);
    expect(await price()).not.toBe(4242);
    services.clock.pass(1);
    expect(await price()).toBe(4242);
  });

  test("lives through a database that is away, until what it knows is too old", async () => {
    const services = testServices(database);
    const market = newMarket({ refreshAfterMs: 1000, staleAfterMs: 5000 });
    const index = await market.network(services);
    const away = { ...services, db: failing() };
    services.clock.pass(5000);
    expect(await market.network(away)).toBe(index);
    services.clock.pass(1);
    await expect(market.network(away)).rejects.toMatchObject({ code: "unavailable" });
    await expect(newMarket().network(away)).rejects.toMatchObject({ code: "unavailable" });
    expect((await market.network(services)).columns.ids).toEqual(index.columns.ids);
  });

  test("doesn't wait for a refresh that another request has begun", async () => {
    const services = testServices(database);
    const market = newMarket({ refreshAfterMs: 1000 });
    const index = await market.network(services);
    services.clock.pass(1001);
    const never = market.refresh({ ...services, db: hanging() });
    never.catch(() => undefined);
    let asked = 0;
    const counting = databaseThat(() => Promise.reject(new Error(`asked ${++asked} times`)));
    expect(await market.network({ ...services, db: counting })).toBe(index);
    expect(asked).toBe(0);
    // Lost with the request that began it: the next one reads again.
    services.clock.pass(10_001);
    expect(await market.network({ ...services, db: counting })).toBe(index);
    expect(asked).toBe(1);
  });

  test("takes note of GPUs that were claimed, until the database says more", async () => {
    const services = testServices(database);
    const market = newMarket();
    const index = await market.network(services);
    const row = index.columns.free.indexOf(8);
    market.take(index.columns.ids[row] as string, 3);
    expect(index.columns.free[row]).toBe(5);
  });
});

/** A connection on which every statement ends like this. */
const databaseThat = (answer: () => Promise<never>) =>
  ({ $client: { unsafe: () => ({ raw: answer }) } }) as unknown as TestDatabase["db"];
const failing = () => databaseThat(() => Promise.reject(new Error("connection refused")));
const hanging = () => databaseThat(() => new Promise(() => undefined));
