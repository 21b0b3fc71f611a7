import { eq } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { streamEvents } from "../../api/clusters/events.ts";
import { execInCluster } from "../../api/clusters/exec.ts";
import { streamLogs } from "../../api/clusters/logs.ts";
import type { Context } from "../../api/context.ts";
import { executionRanks, leases } from "../../api/db/tables.ts";
import { CHUNK_OVERHEAD_BYTES, OUTPUT_BYTES_PER_RANK_MAX } from "../../api/supply/store-output.ts";
import { until } from "../harness/services.ts";
import { type Machine, newMachine } from "../supply/machine.ts";
import { newWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterAll(() => world.close());

const RANKS = 3;
let machine: Machine;
let cluster: Awaited<ReturnType<World["reserve"]>>;
let leaseIds: string[];
beforeEach(async () => {
  machine = await newMachine(world.services, RANKS);
  await machine.heartbeat();
  cluster = await world.reserve(world.quote({ nodeIds: Array.from({ length: RANKS }, () => machine.id) }));
  await world.pay(cluster.payment);
  await world.settle();
  leaseIds = (await world.leases(cluster)).map((lease) => lease.id);
  await machine.report({ leases: leaseIds.map((id) => ({ lease_id: id as never, state: "ready" as const })) });
  await world.reaches(cluster, "running", 1_000);
});

/** Reads a stream in the background; what has come can be looked at while it goes on. */
function read<Data extends object>(stream: AsyncGenerator<{ id: string; data: Data }>) {
  const items: { id: string; data: Data }[] = [];
  const ended = (async () => {
    for await (const item of stream) items.push(item);
  })();
  ended.catch(() => undefined);
  return { items, ended };
}

const exec = (parts: object, context: Partial<Context> = {}) =>
  execInCluster(world.holder(cluster, context), {
    id: cluster.id,
    command: "hostname",
    env: {},
    timeout_seconds: 60,
    ...parts,
  });
const lease = (rank: number) => leaseIds[rank] as never;
const asked = async () => (await machine.assignments()).executions;
const chunk = (execution_id: string | undefined, rank: number, sequence: number, data: string, parts = {}) => ({
  lease_id: lease(rank),
  sequence,
  stream: "stdout" as const,
  data,
  encoding: "utf-8" as const,
  ...(execution_id === undefined ? {} : { execution_id: execution_id as never }),
  ...parts,
});
const exit = (execution_id: string, rank: number, code = 0) => ({
  execution_id: execution_id as never,
  lease_id: lease(rank),
  code,
});
const brief = (items: { data: { type: string; rank: number; data: string | null; code: number | null } }[]) =>
  items.map(({ data }) => `${data.rank} ${data.type} ${data.data ?? data.code}`);
/** Polls that nothing has hinted at. */
const ticking = (what: string, holds: () => boolean) =>
  until(what, () => {
    world.clock.pass(500);
    return holds();
  });

describe("a command", () => {
  test("reaches every rank, and its output and exits come back in order, the exit of a rank last", async () => {
    const { items, ended } = read(exec({ command: "hostname", env: { A: "1" }, stdin: "in" }));
    await until("the machine is asked", async () => (await asked()).length === RANKS);
    const [request] = await asked();
    expect(request).toMatchObject({
      command: ["sh", "-c", "hostname"],
      env: { A: "1" },
      stdin: "in",
      cancelled: false,
    });
    const id = request?.execution_id ?? "";
    await machine.report({
      chunks: [chunk(id, 0, 0, "zero"), chunk(id, 0, 1, "one", { stream: "stderr" }), chunk(id, 2, 0, "two")],
      exits: [exit(id, 0)],
    });
    await until("three pieces and an exit have come", () => items.length === 4);
    expect(brief(items).filter((line) => line.startsWith("0"))).toEqual(["0 stdout zero", "0 stderr one", "0 exit 0"]);
    await machine.report({ chunks: [chunk(id, 1, 0, "three")], exits: [exit(id, 1, 7), exit(id, 2)] });
    await ended;
    expect(brief(items).slice(4).sort()).toEqual(["1 exit 7", "1 stdout three", "2 exit 0"]);
    expect(await asked()).toEqual([]);
  });

  test("that has printed more than one reading takes ends after all of it", async () => {
    const { items, ended } = read(exec({ rank: 0 }));
    await until("the machine is asked", async () => (await asked()).length === 1);
    const id = (await asked())[0]?.execution_id ?? "";
    const chunks = Array.from({ length: 100 }, (_, sequence) => chunk(id, 0, sequence, `${sequence}`));
    await machine.report({ chunks, exits: [exit(id, 0)] });
    await ended;
    expect(brief(items)).toEqual([...chunks.map(({ data }) => `0 stdout ${data}`), "0 exit 0"]);
  });

  test("can go to one rank, as program and arguments", async () => {
    const { items, ended } = read(exec({ command: ["echo", "a b"], rank: 1 }));
    await until("the machine is asked", async () => (await asked()).length === 1);
    const [request] = await asked();
    expect(request).toMatchObject({ lease_id: leaseIds[1], command: ["echo", "a b"] });
    await machine.report({ exits: [exit(request?.execution_id ?? "", 1)] });
    await ended;
    expect(brief(items)).toEqual(["1 exit 0"]);
    await expect(exec({ rank: RANKS }).next()).rejects.toMatchObject({
      code: "invalid_field",
      errors: [{ pointer: "/rank" }],
    });
  });

  test("runs once under one key: whoever comes again attaches and sees everything", async () => {
    const first = read(exec({ rank: 0 }, { idempotencyKey: "k" }));
    await until("the machine is asked", async () => (await asked()).length === 1);
    const second = read(exec({ rank: 0 }, { idempotencyKey: "k" }));
    const id = (await asked())[0]?.execution_id ?? "";
    await machine.report({ chunks: [chunk(id, 0, 0, "once")] });
    await until("both see it", () => first.items.length === 1 && second.items.length === 1);
    expect(await asked()).toHaveLength(1);
    await machine.report({ exits: [exit(id, 0)] });
    await Promise.all([first.ended, second.ended]);
    const third = read(exec({ rank: 0 }, { idempotencyKey: "k" }));
    await third.ended;
    expect(third.items).toEqual(first.items);
    await expect(exec({ rank: 0, command: "other" }, { idempotencyKey: "k" }).next()).rejects.toMatchObject({
      code: "idempotency_mismatch",
    });
  });

  test("many at once under one key start one execution", async () => {
    const streams = Array.from({ length: 12 }, () => read(exec({ rank: 0 }, { idempotencyKey: "together" })));
    await until("the machine is asked", async () => (await asked()).length > 0);
    await machine.report({ exits: [exit((await asked())[0]?.execution_id ?? "", 0)] });
    await Promise.all(streams.map((stream) => stream.ended));
    expect(await asked()).toEqual([]);
    for (const { items } of streams) expect(brief(items)).toEqual(["0 exit 0"]);
  });

  test("resumed after any of its events goes on exactly there", async () => {
    const whole = read(exec({}));
    await until("the machine is asked", async () => (await asked()).length === RANKS);
    const id = (await asked())[0]?.execution_id ?? "";
    const chunks = Array.from({ length: 20 }, (_, index) =>
      chunk(id, index % RANKS, Math.floor(index / RANKS), `${index}`),
    );
    await machine.report({ chunks, exits: [0, 1, 2].map((rank) => exit(id, rank)) });
    await whole.ended;
    expect(whole.items).toHaveLength(23);
    for (const [index, item] of whole.items.entries()) {
      const rest = read(exec({ last_event_id: item.id }));
      await rest.ended;
      expect(brief(rest.items).sort()).toEqual(brief(whole.items.slice(index + 1)).sort());
    }
    for (const last_event_id of [
      "",
      "x",
      "exe_01jmq8rx1rf3d9w4k1q3k3zzzz.AAAA",
      `${id}.`,
      `${id}.AA`,
      `${id}.____`,
      `${id}.AAAA.AA`,
    ]) {
      await expect(exec({ last_event_id }).next()).rejects.toMatchObject({ code: "invalid_cursor" });
    }
  });

  test("past its time is cancelled on the machine, and ended by us when the machine says nothing", async () => {
    const { items, ended } = read(exec({ rank: 0, timeout_seconds: 10 }));
    await until("the machine is asked", async () => (await asked()).length === 1);
    world.clock.pass(10_000);
    expect(await asked()).toMatchObject([{ cancelled: true }]);
    await ticking("it has ended", () => items.length > 0);
    await ended;
    expect(items[0]?.data).toMatchObject({ type: "exit", code: -1, reason: "The command's time was over." });
    expect(await asked()).toEqual([]);
  });

  test("ends with its cluster, with a reason", async () => {
    const { items, ended } = read(exec({}));
    await until("the machine is asked", async () => (await asked()).length === RANKS);
    await world.teardown(cluster);
    await ended;
    expect(items.map(({ data }) => [data.type, data.code, data.reason])).toEqual(
      Array.from({ length: RANKS }, () => ["exit", -1, "The cluster has ended."]),
    );
  });

  test("is refused where nothing runs, to strangers, and when there are too many", async () => {
    const waiting = await world.reserve(world.quote({ nodeIds: [await world.node(1)] }));
    const input = { command: "x", env: {}, timeout_seconds: 60 };
    await expect(execInCluster(world.holder(waiting), { id: waiting.id, ...input }).next()).rejects.toMatchObject({
      code: "cluster_not_running",
    });
    await expect(execInCluster(world.holder(waiting), { id: cluster.id, ...input }).next()).rejects.toMatchObject({
      code: "not_found",
    });
    await expect(exec({ stdin: "a\0" }).next()).rejects.toMatchObject({ code: "invalid_field" });
    const { ended } = read(exec({ rank: 0 }));
    await until("the machine is asked", async () => (await asked()).length === 1);
    const executionId = (await asked())[0]?.execution_id ?? "";
    await world.db
      .insert(executionRanks)
      .values(Array.from({ length: 4095 }, (_, index) => ({ executionId, leaseId: lease(0), rank: index + 1 })));
    await expect(exec({ rank: 0 }).next()).rejects.toMatchObject({ code: "rate_limited" });
    await world.teardown(cluster);
    await ended;
    await expect(exec({}).next()).rejects.toMatchObject({ code: "cluster_not_running" });
  });

  test("stops waiting when its caller has gone", async () => {
    const gone = new AbortController();
    const { ended } = read(exec({}, { signal: gone.signal }));
    await until("the machine is asked", async () => (await asked()).length === RANKS);
    gone.abort();
    await ended;
    expect(await asked()).toHaveLength(RANKS);
  });
});

describe("reports", () => {
  test("repeated and overlapping keep every piece once", async () => {
    const pieces = [chunk(undefined, 0, 0, "a"), chunk(undefined, 0, 1, "b")];
    expect(await machine.report({ chunks: pieces })).toMatchObject({ accepted: 2 });
    expect(await machine.report({ chunks: [...pieces, chunk(undefined, 0, 2, "c")] })).toMatchObject({ accepted: 3 });
    const { items, ended } = read(streamLogs(world.holder(cluster), { id: cluster.id, follow: false }));
    await ended;
    expect(brief(items)).toEqual(["0 stdout a", "0 stdout b", "0 stdout c"]);
    const [row] = await world.db
      .select()
      .from(leases)
      .where(eq(leases.id, leaseIds[0] ?? ""));
    expect(row?.outputBytes).toBe(3 * (1 + CHUNK_OVERHEAD_BYTES));
  });

  test("of another machine's leases and of commands that never were are passed over", async () => {
    const stranger = await newMachine(world.services, 1);
    await stranger.heartbeat();
    expect(await stranger.report({ chunks: [chunk(undefined, 0, 0, "spoof")] })).toMatchObject({ accepted: 0 });
    expect(await machine.report({ chunks: [chunk("exe_01jmq8rx1rf3d9w4k1q3k3zzzz", 0, 0, "x")] })).toMatchObject({
      accepted: 0,
    });
    const { items, ended } = read(exec({ rank: 0 }));
    await until("the machine is asked", async () => (await asked()).length === 1);
    const id = (await asked())[0]?.execution_id ?? "";
    // Of a rank that the command wasn't for.
    await machine.report({ chunks: [chunk(id, 1, 0, "x")], exits: [exit(id, 1)] });
    await machine.report({ exits: [exit(id, 0, 5)] });
    await machine.report({ exits: [exit(id, 0, 6)] });
    await ended;
    expect(brief(items)).toEqual(["0 exit 5"]);
  });

  test("with text that Postgres can't keep are kept as bytes", async () => {
    await machine.report({ chunks: [chunk(undefined, 0, 0, "a\0b"), chunk(undefined, 0, 1, "half \ud83d")] });
    const { items, ended } = read(streamLogs(world.holder(cluster), { id: cluster.id, follow: false }));
    await ended;
    expect(items[0]?.data).toMatchObject({ encoding: "base64", data: Buffer.from("a\0b").toString("base64") });
    expect(items[1]?.data.data).toBe("half \ufffd");
  });

  test("fill a rank's room and no more, with a notice where it was cut; other ranks have their own", async () => {
    await world.db
      .update(leases)
      .set({ outputBytes: OUTPUT_BYTES_PER_RANK_MAX - 10 - CHUNK_OVERHEAD_BYTES })
      .where(eq(leases.id, leaseIds[0] ?? ""));
    await machine.report({
      chunks: [
        chunk(undefined, 0, 0, "12345"),
        chunk(undefined, 0, 1, "1234567"),
        chunk(undefined, 0, 2, "gone"),
        chunk(undefined, 1, 0, "kept"),
      ],
    });
    expect(await machine.report({ chunks: [chunk(undefined, 0, 3, "gone too")] })).toMatchObject({ accepted: 1 });
    const { items, ended } = read(streamLogs(world.holder(cluster), { id: cluster.id, follow: false }));
    await ended;
    const lines = brief(items).sort();
    expect(lines).toHaveLength(3);
    expect(lines[0]).toContain("the rest is not kept");
    expect(lines.slice(1)).toEqual(["0 stdout 12345", "1 stdout kept"]);
  });
});

describe("logs", () => {
  test("are followed until the cluster has ended, for all ranks or one, and can be resumed", async () => {
    const all = read(streamLogs(world.holder(cluster), { id: cluster.id, follow: true }));
    const one = read(streamLogs(world.holder(cluster), { id: cluster.id, follow: true, rank: 1 }));
    await machine.report({ chunks: [chunk(undefined, 0, 0, "a"), chunk(undefined, 1, 0, "b")] });
    await until("both have come", () => all.items.length === 2 && one.items.length === 1);
    await world.teardown(cluster);
    await machine.report({
      chunks: [chunk(undefined, 1, 1, "last words")],
      leases: leaseIds.map((id) => ({ lease_id: id as never, state: "absent" as const })),
    });
    await world.settle();
    await ticking("the stream ends", () => all.items.length === 3);
    await Promise.all([all.ended, one.ended]);
    expect(brief(one.items)).toEqual(["1 stdout b", "1 stdout last words"]);
    const rest = read(
      streamLogs(world.holder(cluster), { id: cluster.id, follow: true, last_event_id: all.items[1]?.id }),
    );
    await rest.ended;
    expect(brief(rest.items)).toEqual(["1 stdout last words"]);
  });

  test("refuse a foreign event id and a rank that isn't there", async () => {
    const logs = (parts: object) =>
      streamLogs(world.holder(cluster), { id: cluster.id, follow: false, ...parts }).next();
    await expect(logs({ last_event_id: "log" })).rejects.toMatchObject({ code: "invalid_cursor" });
    await expect(logs({ last_event_id: "exe_x.AAAA" })).rejects.toMatchObject({ code: "invalid_cursor" });
    await expect(logs({ rank: 9 })).rejects.toMatchObject({ code: "invalid_field" });
  });

  test("longer than one reading come whole and in order", async () => {
    for (let report = 0; report < 3; report++) {
      await machine.report({
        chunks: Array.from({ length: 90 }, (_, index) =>
          chunk(undefined, index % 2, report * 45 + Math.floor(index / 2), `${report}-${index}`),
        ),
      });
    }
    const { items, ended } = read(streamLogs(world.holder(cluster), { id: cluster.id, follow: false }));
    await ended;
    expect(items).toHaveLength(270);
    for (const rank of [0, 1]) {
      const expected = Array.from({ length: 3 }, (_, report) =>
        Array.from({ length: 45 }, (_, index) => `${report}-${index * 2 + rank}`),
      ).flat();
      expect(items.filter((item) => item.data.rank === rank).map((item) => item.data.data)).toEqual(expected);
    }
  });
});

describe("events", () => {
  test("come from the beginning or after one of them, and end with the cluster", async () => {
    const stream = read(streamEvents(world.holder(cluster), { id: cluster.id, follow: true }));
    await until("it is at the present", () => stream.items.length === 7);
    await world.teardown(cluster);
    await machine.report({ leases: leaseIds.map((id) => ({ lease_id: id as never, state: "absent" as const })) });
    await world.settle();
    await ticking("it ends", () => stream.items.length === 9);
    await stream.ended;
    expect(stream.items.map((item) => item.data.type)).toEqual(await world.events(cluster));
    expect(stream.items.every((item) => item.id === item.data.id)).toBe(true);
    const after = read(
      streamEvents(world.holder(cluster), { id: cluster.id, follow: true, last_event_id: stream.items[3]?.id }),
    );
    await after.ended;
    expect(after.items).toEqual(stream.items.slice(4));
    const foreign = await world.reserve(world.quote({ nodeIds: [await world.node(1)] }));
    await expect(
      streamEvents(world.holder(foreign), { id: foreign.id, follow: false, last_event_id: stream.items[0]?.id }).next(),
    ).rejects.toMatchObject({ code: "invalid_cursor" });
  });

  test("of commands that ended stay readable after the cluster has", async () => {
    const first = read(exec({ rank: 0 }, { idempotencyKey: "before the end" }));
    await until("the machine is asked", async () => (await asked()).length === 1);
    const id = (await asked())[0]?.execution_id ?? "";
    await machine.report({ chunks: [chunk(id, 0, 0, "result")], exits: [exit(id, 0)] });
    await first.ended;
    await world.teardown(cluster);
    const again = read(exec({ rank: 0 }, { idempotencyKey: "before the end" }));
    await again.ended;
    expect(again.items).toEqual(first.items);
    const open = await world.db.select().from(executionRanks).where(eq(executionRanks.executionId, id));
    expect(open).toMatchObject([{ exitCode: 0 }]);
  });
});
