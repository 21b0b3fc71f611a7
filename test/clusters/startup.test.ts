import { afterAll, expect, test } from "vitest";
import { newMachine } from "../supply/machine.ts";
import { newWorld } from "./world.ts";

const world = await newWorld();
afterAll(() => world.close());

test("a startup script that fails is seen on its rank and told once; the cluster runs on until it is torn down", async () => {
  const machine = await newMachine(world.services, 2);
  await machine.heartbeat();
  const cluster = await world.reserve(world.quote({ nodeIds: [machine.id, machine.id], durationSeconds: 600 }));
  await world.pay(cluster.payment);
  await world.settle();
  const [failing, well] = (await world.leases(cluster)).map(({ id }) => id as never);
  if (failing === undefined || well === undefined) throw new Error("two leases were expected");
  await machine.report({
    leases: [
      { lease_id: failing, state: "ready" },
      { lease_id: well, state: "ready" },
    ],
  });
  await world.reaches(cluster, "running", 1_000);

  const reason = "The startup script ended with exit code 3.";
  await machine.report({ leases: [{ lease_id: failing, state: "exited", exit_code: 3, reason }] });
  for (let look = 0; look < 3; look++) {
    world.clock.pass(31_000);
    await machine.heartbeat([
      { lease_id: failing, state: "exited" },
      { lease_id: well, state: "ready" },
    ]);
    await world.settle();
  }

  expect(await world.get(cluster)).toMatchObject({
    status: "running",
    nodes: [
      { rank: 0, status: "exited", exit_code: 3, reason },
      { rank: 1, status: "ready", exit_code: null, reason: null },
    ],
  });
  expect((await world.events(cluster)).filter((type) => type === "cluster.node_exited")).toHaveLength(1);

  expect(await world.teardown(cluster)).toMatchObject({
    bill: {
      billed_seconds: [
        { rank: 0, seconds: 93 },
        { rank: 1, seconds: 93 },
      ],
    },
  });
  await machine.report({ leases: [{ lease_id: well, state: "exited", exit_code: 137 }] });
  expect(await world.get(cluster)).toMatchObject({ nodes: [{ exit_code: 3, reason }, { exit_code: null }] });
});
