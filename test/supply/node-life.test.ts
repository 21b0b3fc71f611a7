import { eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { rows } from "../../api/db/database.ts";
import { leases, nodes } from "../../api/db/tables.ts";
import { getNode } from "../../api/supply/get-node.ts";
import { sweepNodes } from "../../api/supply/sweep-nodes.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { contextAs, system, type TestServices, testServices, until } from "../harness/services.ts";
import { type Machine, newMachine } from "./machine.ts";
import { leaseOf, type Rental, startRental } from "./rental.ts";

let database: TestDatabase;
let services: TestServices;
let machine: Machine;
beforeAll(async () => {
  database = await createTestDatabase(20);
});
afterAll(() => database.close());
beforeEach(async () => {
  services = testServices(database);
  await database.db.execute(sql`DELETE FROM watches`);
  machine = await newMachine(services);
});

const statusOf = async (one: Machine) =>
  (await getNode(contextAs(services, { kind: "anonymous" }), { id: one.id })).status;
const changeXid = async (one: Machine) => {
  const [row] = await services.db.select({ xid: nodes.changeXid }).from(nodes).where(eq(nodes.id, one.id));
  return row?.xid ?? 0n;
};
const dueNow = (rental: Rental) =>
  rows(
    services.db,
    sql`SELECT 1 FROM tasks WHERE kind = 'cluster' AND id = ${rental.clusterId} AND due_at <= ${services.clock.nowMs()}`,
  );
const putOff = (rental: Rental) =>
  services.db.execute(sql`UPDATE tasks SET due_at = 9e15::bigint WHERE kind = 'cluster' AND id = ${rental.clusterId}`);

/** Sweeps as the task does, with heartbeats of these machines in between. */
async function watchFor(ms: number, beating: readonly Machine[] = []): Promise<void> {
  for (let passed = 0; passed < ms; passed += 5_000) {
    for (const one of beating) await one.heartbeat();
    await sweepNodes(system(services));
    services.clock.pass(5_000);
  }
  await sweepNodes(system(services));
}

describe("a machine", () => {
  test("is offline until its first heartbeat, and the market hears of each change, and of nothing else", async () => {
    expect(await statusOf(machine)).toBe("offline");
    const joined = await changeXid(machine);
    expect(await machine.heartbeat()).toMatchObject({ status: "online", interval_seconds: 5 });
    const online = await changeXid(machine);
    expect(online).toBeGreaterThan(joined);
    await machine.heartbeat();
    expect(await changeXid(machine)).toBe(online);
    expect(await machine.heartbeat([], true)).toMatchObject({ status: "draining" });
    expect(await statusOf(machine)).toBe("draining");
    expect(await changeXid(machine)).toBeGreaterThan(online);
    await machine.heartbeat();
    expect(await statusOf(machine)).toBe("online");
  });

  test("that falls silent goes offline, and comes back with its next heartbeat", async () => {
    const talking = await newMachine(services);
    await machine.heartbeat();
    await talking.heartbeat();
    const rental = await startRental(services, machine.id);
    await putOff(rental);
    await watchFor(45_000, [talking]);
    expect(await statusOf(machine)).toBe("online");
    await watchFor(10_000, [talking]);
    expect(await statusOf(machine)).toBe("offline");
    expect(await statusOf(talking)).toBe("online");
    expect(await dueNow(rental)).toHaveLength(1);

    await putOff(rental);
    await machine.heartbeat();
    expect(await statusOf(machine)).toBe("online");
    expect(await dueNow(rental)).toHaveLength(1);
  });

  test("isn't blamed for silence while nobody listened", async () => {
    await machine.heartbeat();
    await watchFor(60_000, [machine]);
    services.clock.pass(600_000);
    await sweepNodes(system(services));
    expect(await statusOf(machine)).toBe("online");
    await watchFor(40_000);
    expect(await statusOf(machine)).toBe("online");
    await watchFor(10_000);
    expect(await statusOf(machine)).toBe("offline");
  });
});

describe("heartbeats and leases", () => {
  test("one that shows a lease for the first time wakes its cluster; the same again doesn't", async () => {
    await machine.heartbeat();
    const rental = await startRental(services, machine.id);
    const lease_id = rental.leaseId as never;
    await putOff(rental);
    await machine.heartbeat([{ lease_id, state: "starting" }]);
    expect(await leaseOf(services, rental)).toMatchObject({ observed: "starting" });
    expect(await dueNow(rental)).toHaveLength(1);
    await putOff(rental);
    await machine.heartbeat([{ lease_id, state: "starting" }]);
    expect(await dueNow(rental)).toHaveLength(0);
  });

  test("a lease that was assigned a moment ago and isn't in the heartbeat yet is not absent", async () => {
    await machine.heartbeat();
    const rental = await startRental(services, machine.id);
    for (let beat = 0; beat < 20; beat++) {
      services.clock.pass(5_000);
      await machine.heartbeat();
    }
    expect(await leaseOf(services, rental)).toMatchObject({ observed: "none", unseenSince: null });
  });

  test("a lease that was seen and then is left out becomes absent, not by one heartbeat but by several", async () => {
    await machine.heartbeat();
    const rental = await startRental(services, machine.id);
    const lease_id = rental.leaseId as never;
    services.clock.pass(5_000);
    await machine.heartbeat([{ lease_id, state: "ready" }]);
    const lastSeenMs = services.clock.nowMs();
    services.clock.pass(5_000);
    await machine.heartbeat();
    expect(await leaseOf(services, rental)).toMatchObject({ observed: "ready", unseenSince: lastSeenMs });
    services.clock.pass(5_000);
    await machine.heartbeat();
    expect(await leaseOf(services, rental)).toMatchObject({ observed: "absent", unseenSince: lastSeenMs });
  });

  test("a lease of another machine can't be spoken for", async () => {
    const stranger = await newMachine(services);
    await machine.heartbeat();
    const rental = await startRental(services, machine.id);
    const lease_id = rental.leaseId as never;
    await stranger.heartbeat([{ lease_id, state: "ready" }]);
    expect(await stranger.report({ leases: [{ lease_id, state: "ready" }] })).toMatchObject({ accepted: 0 });
    expect(await leaseOf(services, rental)).toMatchObject({ observed: "none" });
  });
});

describe("assignments", () => {
  test("say all that the machine needs to start a lease, and nothing of other machines", async () => {
    const stranger = await newMachine(services);
    await machine.heartbeat();
    await stranger.heartbeat();
    const rental = await startRental(services, machine.id);
    await startRental(services, stranger.id);
    const assigned = await machine.assignments();
    expect(assigned.leases).toEqual([
      {
        lease_id: rental.leaseId,
        cluster_id: rental.clusterId,
        desired: "running",
        ends_at: expect.stringMatching(/^20\d\d-/),
        rank: 0,
        world_size: 1,
        slots: [0],
        hostname: "rank-0",
        peers: [{ rank: 0, hostname: "rank-0", address: "192.0.2.1" }],
        master_address: "rank-0",
        master_port: 29500,
        image: null,
        startup_script: null,
        env: {},
        cpu_cores: 2,
        memory_mib: 4096,
        pids: 4096,
      },
    ]);
    expect(assigned.executions).toEqual([]);
  });

  test("are answered at once when they differ, and otherwise when they change or the time is over", async () => {
    await machine.heartbeat();
    const first = await machine.assignments("another revision", 25);
    let answered = false;
    const waiting = machine.assignments(first.revision, 25).finally(() => {
      answered = true;
    });
    const rental = await startRental(services, machine.id);
    expect((await waiting).leases.map((lease) => lease.lease_id)).toEqual([rental.leaseId]);

    const second = await machine.assignments();
    answered = false;
    const idle = machine.assignments(second.revision, 25).finally(() => {
      answered = true;
    });
    await until("the time is over", () => {
      services.clock.pass(1_000);
      return answered;
    });
    expect((await idle).revision).toBe(second.revision);
  });

  test("a change that nothing has hinted at is found by looking", async () => {
    await machine.heartbeat();
    const rental = await startRental(services, machine.id);
    const before = await machine.assignments();
    let answered = false;
    const waiting = machine.assignments(before.revision, 25).finally(() => {
      answered = true;
    });
    await services.db.update(leases).set({ desired: "stopped" }).where(eq(leases.id, rental.leaseId));
    await until("the change is found", () => {
      services.clock.pass(1_000);
      return answered;
    });
    expect((await waiting).leases).toMatchObject([{ desired: "stopped" }]);
  });

  test("a waiting request ends when its caller has gone", async () => {
    await machine.heartbeat();
    const { revision } = await machine.assignments();
    const gone = new AbortController();
    const waiting = machine.assignments(revision, 25, { signal: gone.signal });
    gone.abort();
    expect((await waiting).revision).toBe(revision);
  });

  test("name what was to stop until it was seen to be gone", async () => {
    await machine.heartbeat();
    const rental = await startRental(services, machine.id);
    await services.db.update(leases).set({ desired: "stopped" }).where(eq(leases.id, rental.leaseId));
    expect((await machine.assignments()).leases).toMatchObject([{ lease_id: rental.leaseId, desired: "stopped" }]);
    await machine.report({ leases: [{ lease_id: rental.leaseId as never, state: "absent" }] });
    expect((await machine.assignments()).leases).toEqual([]);
  });
});
