import { randomBytes } from "node:crypto";
import { clusterExtensionSchema } from "@volley/schema/resources/cluster";
import { DURATION_SECONDS_MAX } from "@volley/schema/time";
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

type Rented = Awaited<ReturnType<World["running"]>>;
const extend = (cluster: Rented, seconds: number, dryRun = false, key = randomBytes(8).toString("hex")) =>
  extendCluster(world.holder(cluster, { idempotencyKey: key }), {
    id: cluster.id,
    duration_seconds: seconds,
    dry_run: dryRun,
  });
const endsMs = async (cluster: Rented) => Date.parse((await world.get(cluster)).ends_at ?? "");

test("a dry run only says what it would cost", async () => {
  const cluster = await world.running([await world.node(1)]);
  const before = await endsMs(cluster);
  const answer = await extend(cluster, 1800, true);
  expect(clusterExtensionSchema.parse(answer)).toEqual(answer);
  expect(answer).toMatchObject({ total: { amount: "1.890000" }, dry_run: true, payment: null });
  expect(Date.parse(answer.ends_at)).toBe(before + 1_800_000);
  expect(await endsMs(cluster)).toBe(before);
});

test("is asked to be paid, and moves the end of cluster and machines when the money comes", async () => {
  const cluster = await world.running([await world.node(1)], {}, 600);
  const before = await endsMs(cluster);
  const { payment } = await extend(cluster, 300);
  if (payment === null) throw new Error("it is to be paid");
  expect(payment).toMatchObject({ purpose: "extend", status: "pending", amount: { amount: "0.315000" } });
  expect(payment.solana_pay?.reference).not.toBe(cluster.payment.solana_pay?.reference);
  expect(await world.tasks("payment", payment.id)).toBe(1);
  expect(await endsMs(cluster)).toBe(before);
  await world.pay(payment);
  expect(await endsMs(cluster)).toBe(before + 300_000);
  for (const lease of await world.leases(cluster)) expect(lease.endsAt).toBe(before + 300_000);
  expect(await world.get(cluster)).toMatchObject({ duration_seconds: 900, total: { amount: "0.945000" } });

  await world.reaches(cluster, "stopped");
  expect((await world.get(cluster)).bill).toMatchObject({
    billed_seconds: [{ rank: 0, seconds: 900 }],
    charged: { amount: "0.945000" },
    paid: { amount: "0.945000" },
    refund: { amount: { amount: "0.000000" } },
  });
});

test("costs the difference of the two bills, so that no rounding is lost between the parts", async () => {
  const nodeId = await world.node(3);
  const cluster = await world.reserve(
    world.quote({ nodeIds: [nodeId, nodeId, nodeId], durationSeconds: 61, rate: 1_234_567n }),
  );
  await world.pay(cluster.payment);
  await world.reaches(cluster, "running", 60_000);
  const { payment, total } = await extend(cluster, 62);
  if (payment === null) throw new Error("it is to be paid");
  // 3 ranks for 123 s cost 132 870 with the fee, for 61 s 65 894; priced alone, 62 s would cost 4 less than the rest.
  expect(micro(total.amount)).toBe(66_976n);
  await world.pay(payment);
  await world.reaches(cluster, "stopped");
  const { bill } = await world.get(cluster);
  expect(micro(bill?.charged.amount ?? "")).toBe(micro(cluster.total.amount) + micro(total.amount));
  expect(bill?.refund.amount.amount).toBe("0.000000");
});

test("is paid at once from credit when there is enough", async () => {
  const cluster = await world.running([await world.node(1)]);
  await world.pay(cluster.payment, 2_000_000n);
  const before = await endsMs(cluster);
  const answer = await extend(cluster, 1800, false, "from-credit");
  expect(answer.payment).toBeNull();
  expect(await endsMs(cluster)).toBe(before + 1_800_000);
  expect(await extend(cluster, 1800, false, "from-credit")).toEqual(answer);
  expect(await endsMs(cluster)).toBe(before + 1_800_000);
  expect(await world.get(cluster)).toMatchObject({ credit: { amount: "0.110000" } });
  expect((await extend(cluster, 1800)).payment).not.toBeNull();
});

test("whose money comes after the end is credit", async () => {
  const cluster = await world.running([await world.node(1)], {}, 300);
  const { payment } = await extend(cluster, 1800);
  if (payment === null) throw new Error("it is to be paid");
  expect(Date.parse(payment.expires_at)).toBe(await endsMs(cluster));
  await world.reaches(cluster, "stopped");
  await world.pay(payment);
  expect(await world.get(cluster)).toMatchObject({ status: "stopped", credit: { amount: "1.890000" } });

  const unnoticed = await world.running([await world.node(1)], {}, 300);
  const late = await extend(unnoticed, 1800);
  if (late.payment === null) throw new Error("it is to be paid");
  const landedMs = (await endsMs(unnoticed)) - 1_000;
  world.clock.pass(300_000);
  await world.pay(late.payment, undefined, { landedMs });
  await world.reaches(unnoticed, "stopped");
  expect(await world.get(unnoticed)).toMatchObject({ duration_seconds: 300, credit: { amount: "1.890000" } });
});

test("is refused when the cluster doesn't run, and beyond what a rental may last", async () => {
  const cluster = await world.reserve(world.quote({ nodeIds: [await world.node(1)] }));
  await expect(extend(cluster, 600)).rejects.toMatchObject({ code: "cluster_not_running" });
  await world.pay(cluster.payment);
  await world.reaches(cluster, "running", 60_000);
  for (const seconds of [0, -5, 59, DURATION_SECONDS_MAX, DURATION_SECONDS_MAX - 3600 + 1]) {
    await expect(extend(cluster, seconds)).rejects.toMatchObject({ code: "duration_out_of_range" });
  }
  await extend(cluster, DURATION_SECONDS_MAX - 3600, true);
  await world.teardown(cluster);
  await expect(extend(cluster, 600)).rejects.toMatchObject({ code: "cluster_not_running" });
  const stranger = { ...cluster, secret: "vly_cl_wrong" };
  await expect(extend(stranger, 600)).rejects.toMatchObject({ code: "not_found" });
});
