import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { extendCluster } from "../../api/clusters/extend.ts";
import { micro, newWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterEach(async () => {
  expect(await world.broken()).toEqual([]);
});
afterAll(() => world.close());

const extend = (cluster: Awaited<ReturnType<World["running"]>>, seconds: number) =>
  extendCluster(world.holder(cluster, { idempotencyKey: randomBytes(8).toString("hex") }), {
    id: cluster.id,
    duration_seconds: seconds,
    dry_run: false,
  });

test("extensions that were priced side by side can't make a bill that nobody can pay", async () => {
  const nodeId = await world.node(4);
  const quote = world.quote({ nodeIds: [nodeId, nodeId, nodeId, nodeId], durationSeconds: 90, rate: 59n });
  const cluster = await world.reserve(quote);
  await world.pay(cluster.payment);
  await world.reaches(cluster, "running", 60_000);

  // 90 s cost 1 micro-USDC a rank, 181 s cost 2, 272 s cost 4: each is asked for one, both together for two.
  const asked = [await extend(cluster, 91), await extend(cluster, 91)];
  for (const { payment } of asked) {
    if (payment === null) throw new Error("it is to be paid");
    await world.pay(payment);
  }
  expect((await world.get(cluster)).duration_seconds).toBe(272);

  await world.reaches(cluster, "stopped");
  const { bill, total } = await world.get(cluster);
  expect(bill?.billed_seconds.every(({ seconds }) => seconds === 272)).toBe(true);
  expect(micro(bill?.charged.amount ?? "")).toBeLessThanOrEqual(micro(total.amount));
  expect(await world.free(nodeId)).toBe(4);
});
