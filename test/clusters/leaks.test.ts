/** Ways in which others have lost machines that went on running, or capacity that never came back. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { reconcileCluster } from "../../api/clusters/reconcile-cluster.ts";
import type { Context } from "../../api/context.ts";
import type { Supplier } from "../../api/ports/supplier.ts";
import { newMachine } from "../supply/machine.ts";
import { newWorld, type World } from "./world.ts";

let world: World;
const worlds: World[] = [];
beforeEach(async () => {
  world = await newWorld();
  worlds.push(world);
});
afterEach(async () => {
  expect(await world.broken()).toEqual([]);
});
afterAll(async () => {
  for (const one of worlds) await one.close();
});

async function paid(nodes = 2) {
  const nodeId = await world.node(nodes);
  const cluster = await world.reserve(world.quote({ nodeIds: Array.from({ length: nodes }, () => nodeId) }));
  await world.pay(cluster.payment);
  return { nodeId, cluster };
}

/** Nothing runs, and everything is there to be sold again. */
async function expectNoLeak(nodeId: Parameters<World["free"]>[0], gpus = 2): Promise<void> {
  await world.until("all is given back", async () => (await world.free(nodeId)) === gpus, 3_600_000);
  expect(world.cloud.running()).toEqual([]);
}

/** The control plane with a supplier that dies with it at the n-th call, before or after the call had its effect. */
function dyingAt(call: number, when: "before" | "after"): Context {
  let calls = 0;
  const wrap =
    <Arguments extends unknown[], Result>(step: (...given: Arguments) => Promise<Result>) =>
    async (...given: Arguments): Promise<Result> => {
      if (++calls === call && when === "before") return new Promise(() => undefined);
      const result = await step(...given);
      return calls === call ? new Promise<Result>(() => undefined) : result;
    };
  const { cloud } = world;
  const simulated: Supplier = {
    launch: wrap(cloud.launch),
    observe: wrap(cloud.observe),
    terminate: wrap(cloud.terminate),
  };
  return { ...world.system(), suppliers: { ...world.services.suppliers, simulated } };
}

/** Runs a step that never returns, as far as it goes. */
async function crash(step: Promise<unknown>): Promise<void> {
  await Promise.race([step, new Promise((resolve) => setTimeout(resolve, 150))]);
}

test("L1: a crash around the creation of machines leaves none that nobody knows of", async () => {
  for (const when of ["before", "after"] as const) {
    for (const call of [1, 2]) {
      const { nodeId, cluster } = await paid();
      await crash(reconcileCluster(dyingAt(call, when), cluster.id));
      const known = (await world.leases(cluster)).filter((lease) => lease.desired === "running").map(({ id }) => id);
      for (const id of world.cloud.running()) expect(known).toContain(id);
      await world.teardown(cluster);
      await expectNoLeak(nodeId);
    }
  }
});

test("L2: a machine that was created although the answer was an error is used, or stopped", async () => {
  world.faults({ launchFailsAfterCreating: 1 });
  const { nodeId, cluster } = await paid();
  await world.reaches(cluster, "running", 120_000);
  expect(world.cloud.running()).toHaveLength(2);
  await world.teardown(cluster);
  await expectNoLeak(nodeId);
});

test("L3: a terminate that fails is repeated for days, with an alarm, and capacity stays blocked meanwhile", async () => {
  const { nodeId, cluster } = await paid();
  await world.reaches(cluster, "running", 60_000);
  world.faults({ terminateFails: 1 });
  await world.teardown(cluster);
  const endMs = world.clock.nowMs() + 3 * 24 * 3_600_000;
  for (let passed = 0; world.clock.nowMs() < endMs; passed++) {
    await world.settle();
    world.clock.pass(passed < 20 ? 60_000 : 3 * 3_600_000);
  }
  expect(await world.get(cluster)).toMatchObject({ status: "stopping" });
  expect(await world.free(nodeId)).toBe(0);
  expect(world.services.counts.get("volley_terminations_overdue_total")).toBeGreaterThan(10);
  expect(world.services.log.filter((line) => line.level === "error")).not.toEqual([]);
  world.faults({ terminateFails: 0 });
  await world.reaches(cluster, "stopped", 600_000);
  await expectNoLeak(nodeId);
});

test("L4: nothing is taken for terminated while the supplier can't be reached", async () => {
  const { nodeId, cluster } = await paid();
  await world.reaches(cluster, "running", 60_000);
  world.faults({ unreachable: true });
  await world.teardown(cluster);
  await world.until("an hour has passed", async () => false, 3_600_000).catch(() => undefined);
  expect(await world.get(cluster)).toMatchObject({ status: "stopping" });
  expect(world.cloud.running()).toHaveLength(2);
  world.faults({ unreachable: false });
  await expectNoLeak(nodeId);
});

test("L5: a machine that isn't in the list yet is not taken for gone", async () => {
  world.faults({ unseenMs: 30_000 });
  const { nodeId, cluster } = await paid();
  await world.settle();
  expect(world.cloud.running()).toHaveLength(2);
  await world.teardown(cluster);
  world.clock.pass(5_000);
  await world.settle();
  expect(await world.free(nodeId)).toBe(0);
  await expectNoLeak(nodeId);
});

test("L6: the success of a terminate is not believed before the machine is seen to be gone", async () => {
  const { nodeId, cluster } = await paid();
  await world.reaches(cluster, "running", 60_000);
  world.faults({ terminateIgnored: 1 });
  await world.teardown(cluster);
  await world.until("ten minutes have passed", async () => false, 600_000).catch(() => undefined);
  expect(await world.get(cluster)).toMatchObject({ status: "stopping" });
  expect(await world.free(nodeId)).toBe(0);
  world.faults({ terminateIgnored: 0.5 });
  await expectNoLeak(nodeId);
});

test("L7: an error about a machine that is gone already doesn't hold anything up", async () => {
  world.faults({ terminateGoneFails: 1 });
  const { nodeId, cluster } = await paid();
  await world.reaches(cluster, "running", 60_000);
  await world.teardown(cluster);
  await world.reaches(cluster, "stopped", 300_000);
  await expectNoLeak(nodeId);
});

test("L9: a teardown at any moment of the start ends in nothing running", async () => {
  for (let steps = 0; steps < 5; steps++) {
    const { nodeId, cluster } = await paid();
    for (let step = 0; step < steps; step++) {
      await reconcileCluster(world.system(), cluster.id);
      world.clock.pass(400);
    }
    await world.teardown(cluster);
    await expectNoLeak(nodeId);
    expect(await world.get(cluster)).toMatchObject({ status: "stopped" });
  }
});

describe("L11: when an agent's machine can't be reached", () => {
  async function rented() {
    const machine = await newMachine(world.services, 2);
    await machine.heartbeat();
    const cluster = await world.reserve(world.quote({ nodeIds: [machine.id], durationSeconds: 600 }));
    await world.pay(cluster.payment);
    await world.settle();
    const [lease] = await world.leases(cluster);
    const lease_id = (lease?.id ?? "") as never;
    await machine.report({ leases: [{ lease_id, state: "ready" }] });
    await world.reaches(cluster, "running", 1_000);
    return { machine, cluster, lease_id };
  }

  test("its lease has an end that it enforces by itself, from the first moment on", async () => {
    const machine = await newMachine(world.services, 2);
    await machine.heartbeat();
    const cluster = await world.reserve(world.quote({ nodeIds: [machine.id], durationSeconds: 600 }));
    await world.pay(cluster.payment);
    const paidMs = world.clock.nowMs();
    await world.settle();
    const [starting] = (await machine.assignments()).leases;
    expect(Date.parse(starting?.ends_at ?? "")).toBe(paidMs + 600_000 + 600_000);
    world.clock.pass(30_000);
    await machine.report({ leases: [{ lease_id: starting?.lease_id as never, state: "ready" }] });
    await world.settle();
    const [running] = (await machine.assignments()).leases;
    expect(Date.parse(running?.ends_at ?? "")).toBe(paidMs + 30_000 + 600_000);
  });

  test("the cluster stops when the lease must have ended by itself, but its slots are not sold before it was seen", async () => {
    const { machine, cluster, lease_id } = await rented();
    await world.teardown(cluster);
    world.clock.pass(540_000);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "stopping" });
    world.clock.pass(100_000);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "stopped" });
    expect(await world.free(machine.id)).toBe(1);
    expect(await world.tasks("cluster", cluster.id)).toBe(1);

    world.clock.pass(24 * 3_600_000);
    await world.settle();
    expect(await world.free(machine.id)).toBe(1);
    await machine.heartbeat();
    expect((await machine.assignments()).leases).toMatchObject([{ lease_id, desired: "stopped" }]);
    await machine.report({ leases: [{ lease_id, state: "absent" }] });
    await world.settle();
    expect(await world.free(machine.id)).toBe(2);
    expect(await world.tasks("cluster", cluster.id)).toBe(0);
  });

  test("an agent that has lost its memory, and only leaves the lease out, gives it back too", async () => {
    const { machine, cluster } = await rented();
    await world.teardown(cluster);
    world.clock.pass(5_000);
    await machine.heartbeat();
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "stopping" });
    world.clock.pass(5_000);
    await machine.heartbeat();
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "stopped" });
    expect(await world.free(machine.id)).toBe(2);
  });

  test("an agent that says at once that the lease is gone stops the cluster at once", async () => {
    const { machine, cluster, lease_id } = await rented();
    world.clock.pass(100_000);
    await world.teardown(cluster);
    await machine.report({ leases: [{ lease_id, state: "absent" }] });
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({
      status: "stopped",
      bill: { billed_seconds: [{ rank: 0, seconds: 100 }] },
    });
  });

  test("a main process that ends by itself is no fault, and the cluster goes on", async () => {
    const { machine, cluster, lease_id } = await rented();
    await machine.report({ leases: [{ lease_id, state: "exited", exit_code: 3 }] });
    world.clock.pass(60_000);
    await machine.heartbeat([{ lease_id, state: "exited", exit_code: 3 }]);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "running", nodes: [{ status: "exited" }] });
  });

  test("an agent's absence after the lease's end, unnoticed while we were away, is no fault", async () => {
    const { machine, cluster, lease_id } = await rented();
    world.clock.pass(600_500);
    await machine.report({ leases: [{ lease_id, state: "absent" }] });
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({
      status: "stopped",
      status_reason: "lease_ended",
      bill: { charged: cluster.total },
    });
  });
});
