import { afterAll, beforeAll, expect, test } from "vitest";
import { listClusters } from "../../api/clusters/list-clusters.ts";
import { toClusterResources } from "../../api/clusters/to-cluster-resource.ts";
import { clusters } from "../../api/db/tables.ts";
import { availableCredit } from "../../api/payments/available-credit.ts";
import { newWorld, WALLET, type World } from "./world.ts";

let world: World;
let ids: string[];
beforeAll(async () => {
  world = await newWorld();
  ids = [];
  for (let index = 0; index < 7; index++) {
    const cluster = await world.reserve(world.quote({ nodeIds: [await world.node(1)] }), { refund_address: WALLET });
    ids.unshift(cluster.id);
    if (index % 2 === 0) await world.pay(cluster.payment, 5_000_000n);
    else await world.pay(cluster.payment, 1_000n);
    if (index === 4) await world.teardown(cluster);
    world.clock.pass(index === 2 ? 0 : 1_000);
  }
});
afterAll(() => world.close());

const all = { limit: 20 };

test("pages follow each other without gaps or repetitions, newest first", async () => {
  const seen: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 10; page++) {
    const answer = await listClusters(world.system(), { limit: 3, ...(cursor === undefined ? {} : { cursor }) });
    expect(answer.data.length).toBeLessThanOrEqual(3);
    seen.push(...answer.data.map((cluster) => cluster.id));
    if (answer.next_cursor === null) break;
    cursor = answer.next_cursor;
  }
  expect(new Set(seen)).toEqual(new Set(ids));
  expect(seen).toHaveLength(ids.length);
  const times = (await listClusters(world.system(), all)).data.map((cluster) => cluster.created_at);
  expect(times).toEqual([...times].sort().reverse());
});

test("a filter by status shows those alone", async () => {
  const { data } = await listClusters(world.system(), { ...all, status: "provisioning" });
  expect(data).toHaveLength(3);
  expect((await listClusters(world.system(), { ...all, status: "running" })).data).toEqual([]);
});

test("a credential lists its own cluster alone", async () => {
  const cluster = await world.reserve(world.quote({ nodeIds: [await world.node(1)] }));
  expect((await listClusters(world.holder(cluster), all)).data.map((one) => one.id)).toEqual([cluster.id]);
  expect(await listClusters(world.holder({ secret: "vly_cl_nothing" }), all)).toEqual({ data: [], next_cursor: null });
  await expect(listClusters(world.anyone(), all)).rejects.toMatchObject({ code: "unauthenticated" });
});

test("a cursor that wasn't issued here is refused", async () => {
  for (const cursor of ["x", "!!", "eyJ9", Buffer.from('["a","b"]').toString("base64url")]) {
    await expect(listClusters(world.system(), { ...all, cursor })).rejects.toMatchObject({ code: "invalid_cursor" });
  }
});

test("many clusters take as many statements as one, and each has what it would have alone", async () => {
  const rows = await world.db.select().from(clusters);
  let statements = 0;
  const counting = new Proxy(world.db, {
    get(db, member, receiver) {
      if (member === "select" || member === "execute") statements++;
      return Reflect.get(db, member, receiver);
    },
  });
  const [first] = rows;
  if (first === undefined) throw new Error("there are no clusters");
  const { settings } = world.services;
  await toClusterResources({ db: counting, settings }, [first]);
  const forOne = statements;
  statements = 0;
  const together = await toClusterResources({ db: counting, settings }, rows);
  // A cluster that has ended with a refund takes one statement for refunds more, however many there are.
  expect(statements).toBeLessThanOrEqual(forOne + 1);
  for (const [index, row] of rows.entries()) {
    expect(together[index]).toEqual((await toClusterResources({ db: world.db, settings }, [row]))[0]);
    const credit = await availableCredit(world.db, row.id);
    expect(together[index]?.credit.amount.replace(".", "").replace(/^0+(?=\d)/, "")).toBe(credit.toString());
  }
});
