/** A step may begin with a view of the cluster that is no longer true: it lost its lease, or somebody was faster. */
import { eq } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { expireUnpaid } from "../../api/clusters/expire-unpaid.ts";
import type { ClusterRow } from "../../api/clusters/open-cluster.ts";
import { provision } from "../../api/clusters/provision.ts";
import { supervise } from "../../api/clusters/supervise.ts";
import { windDown } from "../../api/clusters/wind-down.ts";
import type { Context } from "../../api/context.ts";
import { clusters } from "../../api/db/tables.ts";
import type { TaskOutcome } from "../../api/jobs/engine.ts";
import { newWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterEach(async () => {
  expect(await world.broken()).toEqual([]);
});
afterAll(() => world.close());

type Step = (ctx: Context, cluster: ClusterRow) => Promise<TaskOutcome>;

async function rowOf(cluster: { id: string }): Promise<ClusterRow> {
  const [row] = await world.db.select().from(clusters).where(eq(clusters.id, cluster.id));
  if (row === undefined) throw new Error("no such cluster");
  return row;
}

/** The steps with the views, and a history that has gone on since. */
async function changesNothing(steps: readonly [Step, ClusterRow][], cluster: { id: never }): Promise<void> {
  const before = await world.get(cluster);
  const events = await world.events(cluster);
  for (const [step, view] of steps) await step(world.system(), view);
  expect(await world.get(cluster)).toEqual(before);
  expect(await world.events(cluster)).toEqual(events);
}

test("an expiry that comes after the payment takes nothing back", async () => {
  const nodeId = await world.node(1);
  const cluster = await world.reserve(world.quote({ nodeIds: [nodeId] }));
  const unpaid = await rowOf(cluster);
  const landedMs = world.clock.nowMs() + 590_000;
  world.clock.pass(700_000);
  await world.pay(cluster.payment, undefined, { landedMs });
  await changesNothing([[expireUnpaid, unpaid]], cluster as never);
  expect(await world.free(nodeId)).toBe(0);
});

test("a start that comes after the teardown starts nothing", async () => {
  const nodeId = await world.node(2);
  const cluster = await world.reserve(world.quote({ nodeIds: [nodeId, nodeId] }));
  const unpaid = await rowOf(cluster);
  await world.pay(cluster.payment);
  const paid = await rowOf(cluster);
  await world.teardown(cluster);
  await changesNothing(
    [
      [provision, paid],
      [expireUnpaid, unpaid],
    ],
    cluster as never,
  );
  expect(world.cloud.running()).toEqual([]);
});

test("a watch that comes after the end finds no second end", async () => {
  const cluster = await world.running([await world.node(1)], {}, 60);
  const running = await rowOf(cluster);
  world.clock.pass(30_000);
  await world.teardown(cluster);
  world.clock.pass(60_000);
  await changesNothing([[supervise, running]], cluster as never);
  await world.reaches(cluster, "stopped");
  await changesNothing([[supervise, running]], cluster as never);
});

test("a wind-down that is repeated after the end gives nothing back twice", async () => {
  const nodeId = await world.node(3);
  const cluster = await world.running([nodeId, nodeId]);
  await world.teardown(cluster);
  const stopping = await rowOf(cluster);
  await world.reaches(cluster, "stopped");
  const other = await world.reserve(world.quote({ nodeIds: [nodeId, nodeId, nodeId] }));
  await changesNothing(
    [
      [windDown, stopping],
      [windDown, stopping],
    ],
    cluster as never,
  );
  expect(await world.free(nodeId)).toBe(0);
  expect(await world.get(other)).toMatchObject({ status: "awaiting_payment" });
});

test("two starts at once make one gang, one event per rank and one moment from which is metered", async () => {
  const nodeId = await world.node(2);
  const cluster = await world.reserve(world.quote({ nodeIds: [nodeId, nodeId] }));
  await world.pay(cluster.payment);
  const paid = await rowOf(cluster);
  await Promise.all([provision(world.system(), paid), provision(world.system(), paid)]);
  world.clock.pass(3_000);
  await Promise.all([provision(world.system(), paid), provision(world.system(), paid)]);
  const types = await world.events(cluster);
  expect(types.filter((type) => type === "cluster.running")).toHaveLength(1);
  expect(types.filter((type) => type === "cluster.node_ready")).toHaveLength(2);
  const own = (await world.leases(cluster)).map((lease) => lease.id);
  expect(world.cloud.running().filter((id) => own.includes(id))).toHaveLength(2);
});
