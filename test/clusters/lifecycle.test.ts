import { billSchema } from "@volley/schema/resources/cluster";
import { eq } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { nodes } from "../../api/db/tables.ts";
import { NO_FAULTS } from "../../api/supply/simulated-supplier.ts";
import { micro, newWorld, WALLET, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterEach(async () => {
  world.cloud.faults = NO_FAULTS;
  expect(await world.broken()).toEqual([]);
});
afterAll(() => world.close());

describe("a rental", () => {
  test("runs from payment to lease end, costs exactly its quote, and gives everything back", async () => {
    const [one, two] = [await world.node(4), await world.node(4)];
    const cluster = await world.reserve(world.quote({ nodeIds: [one, two], gpus: 3, durationSeconds: 600 }));
    await world.pay(cluster.payment);
    expect(await world.get(cluster)).toMatchObject({ status: "provisioning", ready_at: null });
    await world.reaches(cluster, "running", 60_000);
    const running = await world.get(cluster);
    expect(running.nodes.map((node) => node.status)).toEqual(["ready", "ready"]);
    expect(Date.parse(running.ends_at ?? "") - Date.parse(running.ready_at ?? "")).toBe(600_000);
    expect(world.cloud.running()).toHaveLength(2);
    for (const lease of await world.leases(cluster)) expect(lease.endsAt).toBe(Date.parse(running.ends_at ?? ""));

    await world.reaches(cluster, "stopped");
    const stopped = await world.get(cluster);
    expect(stopped).toMatchObject({
      status_reason: "lease_ended",
      bill: {
        billed_seconds: [
          { rank: 0, seconds: 600 },
          { rank: 1, seconds: 600 },
        ],
        charged: cluster.total,
        paid: cluster.total,
        refund: { amount: { amount: "0.000000" }, status: "credited" },
      },
    });
    expect(billSchema.parse(stopped.bill)).toEqual(stopped.bill);
    expect(world.cloud.running()).toEqual([]);
    expect([await world.free(one), await world.free(two)]).toEqual([4, 4]);
    expect(await world.events(cluster)).toEqual([
      "cluster.reserved",
      "payment.settled",
      "cluster.paid",
      "cluster.node_ready",
      "cluster.node_ready",
      "cluster.running",
      "cluster.stopping",
      "cluster.stopped",
    ]);
    await world.until("nothing is left to do", async () => (await world.tasks("cluster", cluster.id)) === 0, 900_000);
  });

  test("torn down early is billed to the second from the moment when every rank was ready", async () => {
    const nodeId = await world.node(4);
    const cluster = await world.running([nodeId, nodeId], { refund_address: WALLET });
    world.clock.pass(37_900);
    const answer = await world.teardown(cluster);
    // 2 ranks × 37 s × 3.6 USDC/h is 0.074 USDC, and 5 % of it.
    expect(answer).toMatchObject({
      status: "stopping",
      status_reason: "released",
      bill: {
        billed_seconds: [
          { rank: 0, seconds: 37 },
          { rank: 1, seconds: 37 },
        ],
        compute: { amount: "0.074000" },
        platform_fee: { amount: "0.003700" },
        charged: { amount: "0.077700" },
        paid: { amount: "7.560000" },
        refund: { amount: { amount: "7.482300" }, to: WALLET, status: "pending" },
      },
    });
    expect(await world.tasks("refund", answer.bill?.refund.id ?? "")).toBe(1);
    await world.reaches(cluster, "stopped");
    expect(await world.get(cluster)).toMatchObject({ bill: { charged: { amount: "0.077700" } } });
  });

  test("without a refund address leaves the rest as credit", async () => {
    const cluster = await world.running([await world.node(1)]);
    const answer = await world.teardown(cluster);
    expect(answer.bill?.refund).toEqual({
      id: null,
      amount: answer.bill?.paid,
      to: "credit",
      status: "credited",
      signature: null,
    });
    expect(answer.credit).toEqual(answer.bill?.paid);
  });

  test("torn down while machines start gets all the money back", async () => {
    const nodeId = await world.node(2);
    const cluster = await world.reserve(world.quote({ nodeIds: [nodeId, nodeId] }), { refund_address: WALLET });
    await world.pay(cluster.payment);
    await world.settle();
    expect(world.cloud.running()).toHaveLength(2);
    const answer = await world.teardown(cluster);
    expect(answer.bill).toMatchObject({ charged: { amount: "0.000000" }, refund: { amount: cluster.total } });
    await world.reaches(cluster, "stopped");
    expect(world.cloud.running()).toEqual([]);
    expect(await world.free(nodeId)).toBe(2);
  });

  test("torn down before it was paid ends at once; money that comes later is credit", async () => {
    const nodeId = await world.node(1);
    const cluster = await world.reserve(world.quote({ nodeIds: [nodeId] }));
    expect(await world.teardown(cluster)).toMatchObject({ status: "expired", status_reason: "released" });
    expect(await world.free(nodeId)).toBe(1);
    await world.pay(cluster.payment);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "expired", credit: cluster.total });
    expect(world.cloud.running()).toEqual([]);
  });

  test("ends once: tearing it down again answers its final bill", async () => {
    const cluster = await world.running([await world.node(1)]);
    const first = await world.teardown(cluster);
    await expect(world.teardown(cluster)).rejects.toMatchObject({
      code: "cluster_ended",
      extensions: { bill: first.bill },
    });
    await world.reaches(cluster, "stopped");
    await expect(world.teardown(cluster)).rejects.toMatchObject({ code: "cluster_ended" });
  });

  test("torn down with a key answers the same again", async () => {
    const cluster = await world.running([await world.node(1)]);
    const first = await world.teardown(cluster, { idempotencyKey: "down" });
    world.clock.pass(5_000);
    expect(await world.teardown(cluster, { idempotencyKey: "down" })).toEqual(first);
  });

  test("torn down after its end, before anybody noticed, costs no more than what was bought", async () => {
    const cluster = await world.running([await world.node(1)], {}, 60);
    world.clock.pass(3_600_000);
    const answer = await world.teardown(cluster);
    expect(answer.bill).toMatchObject({ billed_seconds: [{ rank: 0, seconds: 60 }], charged: cluster.total });
  });
});

describe("an unpaid reservation", () => {
  test("expires a little after its time, and gives its machines back", async () => {
    const nodeId = await world.node(1);
    const cluster = await world.reserve(world.quote({ nodeIds: [nodeId] }));
    world.clock.pass(Date.parse(cluster.payment.expires_at) - world.clock.nowMs());
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "awaiting_payment" });
    world.clock.pass(5_000);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({
      status: "expired",
      status_reason: "unpaid",
      payment: { status: "expired" },
      bill: { charged: { amount: "0.000000" }, paid: { amount: "0.000000" } },
    });
    expect(await world.free(nodeId)).toBe(1);
    expect(await world.tasks("cluster", cluster.id)).toBe(0);
    expect(await world.events(cluster)).toEqual(["cluster.reserved", "cluster.expired"]);
  });

  test("that was paid in part gives that part back when it expires", async () => {
    const cluster = await world.reserve(world.quote({ nodeIds: [await world.node(1)] }), { refund_address: WALLET });
    await world.pay(cluster.payment, 1_000_000n);
    await world.reaches(cluster, "expired", 700_000);
    expect((await world.get(cluster)).bill).toMatchObject({
      paid: { amount: "1.000000" },
      refund: { amount: { amount: "1.000000" }, to: WALLET },
    });
  });

  test("whose payment has come and isn't final yet waits for it", async () => {
    const nodeId = await world.node(1);
    const cluster = await world.reserve(world.quote({ nodeIds: [nodeId], rate: 1_000_000_000n }));
    expect(cluster.payment.solana_pay?.commitment).toBe("finalized");
    world.clock.pass(599_000);
    await world.pay(cluster.payment, undefined, { finality: "confirmed" });
    world.clock.pass(60_000);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "awaiting_payment", payment: { status: "detected" } });
    world.clock.pass(70_000);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "expired" });
  });
});

describe("a gang", () => {
  test("of which one rank comes up broken fails whole: all money back, one reason per rank, nothing left running", async () => {
    const nodeId = await world.node(3);
    const cluster = await world.reserve(world.quote({ nodeIds: [nodeId, nodeId, nodeId] }), { refund_address: WALLET });
    await world.pay(cluster.payment);
    let launches = 0;
    const { launch } = world.cloud;
    // The second machine of the gang is a broken one.
    world.cloud.launch = async (gang) => {
      for (const ref of gang) {
        world.faults({ startFails: ++launches === 2 ? 1 : 0 });
        await launch([ref]);
      }
    };
    await world.reaches(cluster, "failed", 60_000);
    world.cloud.launch = launch;
    const failed = await world.get(cluster);
    expect(failed).toMatchObject({
      status_reason: "gang_failed",
      ready_at: null,
      bill: { charged: { amount: "0.000000" }, refund: { amount: cluster.total, to: WALLET } },
    });
    const reasons = failed.nodes.map((node) => node.reason);
    expect(reasons.filter((reason) => reason === "The machine came up broken.")).toHaveLength(1);
    expect(reasons.filter((reason) => reason?.includes("because the gang lacked rank"))).toHaveLength(2);
    await world.until("everything is gone", async () => world.cloud.running().length === 0, 300_000);
    await world.until("all is given back", async () => (await world.free(nodeId)) === 3, 300_000);
    expect((await world.events(cluster)).filter((type) => type === "cluster.failed")).toHaveLength(1);
    await world.until("nothing is left to do", async () => (await world.tasks("cluster", cluster.id)) === 0, 900_000);
    expect((await world.get(cluster)).nodes.map((node) => node.status)).toEqual(["failed", "failed", "failed"]);
  });

  test("that isn't ready in time fails", async () => {
    const nodeId = await world.node(2);
    world.faults({ unreachable: true });
    const cluster = await world.reserve(world.quote({ nodeIds: [nodeId, nodeId] }));
    await world.pay(cluster.payment);
    await world.reaches(cluster, "failed", 601_000);
    const failed = await world.get(cluster);
    expect(failed.nodes[0]?.reason).toContain("not ready within 600 seconds");
    expect(failed.credit).toEqual(cluster.total);
    expect(await world.free(nodeId)).toBe(0);
    world.faults({ unreachable: false });
    await world.until("all is given back", async () => (await world.free(nodeId)) === 2, 300_000);
  });

  test("starts although launches fail at first", async () => {
    const nodeId = await world.node(4);
    world.faults({ launchFails: 0.5, launchFailsAfterCreating: 0.5 });
    const cluster = await world.running([nodeId, nodeId, nodeId, nodeId]);
    expect(world.cloud.running()).toHaveLength(4);
    world.cloud.faults = NO_FAULTS;
    await world.teardown(cluster);
    await world.reaches(cluster, "stopped");
  });
});

describe("a machine that fails while the cluster runs", () => {
  test("ends it: metering stops when the rank was last seen well", async () => {
    const nodeId = await world.node(2);
    const cluster = await world.running([nodeId, nodeId], { refund_address: WALLET });
    const readyMs = Date.parse((await world.get(cluster)).ready_at ?? "");
    await world.until("ten minutes have passed", async () => world.clock.nowMs() >= readyMs + 600_000, 700_000);
    world.faults({ dies: 1 });
    await world.reaches(cluster, "stopped", 600_000);
    const ended = await world.get(cluster);
    expect(ended.status_reason).toBe("supplier_fault");
    const [billed] = ended.bill?.billed_seconds ?? [];
    expect(billed?.seconds).toBeGreaterThanOrEqual(580);
    expect(billed?.seconds).toBeLessThanOrEqual(620);
    expect(micro(ended.bill?.refund.amount.amount ?? "0")).toBeGreaterThan(0n);
    expect(ended.nodes.map((node) => node.reason)).toContainEqual("It vanished from the machine.");
  });

  test("is not seen in one empty answer: lists lie", async () => {
    const nodeId = await world.node(1);
    const cluster = await world.running([nodeId]);
    world.faults({ liesAbsent: 1 });
    world.clock.pass(10_000);
    await world.settle();
    world.clock.pass(10_000);
    await world.settle();
    world.faults({ liesAbsent: 0 });
    world.clock.pass(10_000);
    await world.settle();
    world.clock.pass(120_000);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status: "running" });
  });

  test("by falling silent ends it too, at its last heartbeat", async () => {
    const nodeId = await world.node(1);
    const cluster = await world.running([nodeId]);
    await world.db.update(nodes).set({ status: "offline" }).where(eq(nodes.id, nodeId));
    world.clock.pass(30_000);
    await world.settle();
    expect(await world.get(cluster)).toMatchObject({ status_reason: "supplier_fault" });
  });
});
