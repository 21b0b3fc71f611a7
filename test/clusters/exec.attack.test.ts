import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCluster } from "../../api/clusters/open-cluster.ts";
import { startExecution } from "../../api/clusters/start-execution.ts";
import { newMachine } from "../supply/machine.ts";
import { newWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterAll(() => world.close());

test("what one renter's open commands carry can't fill the memory of the server and the machine", async () => {
  const machine = await newMachine(world.services, 1);
  await machine.heartbeat();
  const cluster = await world.reserve(world.quote({ nodeIds: [machine.id] }));
  await world.pay(cluster.payment);
  await world.settle();
  const [lease] = await world.leases(cluster);
  await machine.report({ leases: [{ lease_id: lease?.id as never, state: "ready" }] });
  await world.settle();

  const begin = async () => {
    const ctx = world.holder(cluster, { idempotencyKey: randomBytes(8).toString("hex") });
    const row = await openCluster(ctx, cluster.id);
    const input = { id: cluster.id, command: ["true"], stdin: "x".repeat(131_072), env: {}, timeout_seconds: 3600 };
    return startExecution(ctx, row, input);
  };
  const started = await Promise.allSettled(Array.from({ length: 200 }, begin));
  const refused = started.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  for (const error of refused) expect(error).toMatchObject({ code: "rate_limited" });
  const { executions } = await machine.assignments();
  expect(executions.length).toBe(200 - refused.length);
  expect(JSON.stringify(await machine.assignments()).length).toBeLessThan(10_000_000);
  expect(refused.length).toBeLessThan(200);

  for (const { execution_id, lease_id } of executions) {
    await machine.report({ exits: [{ execution_id: execution_id as never, lease_id: lease_id as never, code: 0 }] });
  }
  await begin();
});
