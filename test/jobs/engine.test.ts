import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { rows, wake } from "../../api/db/database.ts";
import { leaseTasks, runTask, runTasks, type TaskHandlers } from "../../api/jobs/engine.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { type TestServices, testServices, until } from "../harness/services.ts";

let database: TestDatabase;
let services: TestServices;
beforeAll(async () => {
  database = await createTestDatabase(20);
});
afterAll(() => database.close());
beforeEach(async () => {
  services = testServices(database);
  await database.db.execute(sql`DELETE FROM tasks`);
});

const never = new AbortController().signal;
const run = (handlers: TaskHandlers, owner = "worker", batch = 10) =>
  runTasks(services, { owner, handlers, batch, signal: never });
const due = (id: string, ms = 0) => wake(services.db, "cluster", id, services.clock.nowMs() + ms);

interface TaskState extends Record<string, unknown> {
  id: string;
  due_in: number;
  attempts: number;
  locked: boolean;
  last_error: string | null;
}

const states = () =>
  rows<TaskState>(
    services.db,
    sql`SELECT id, (due_at - ${services.clock.nowMs()}::bigint)::integer AS due_in, attempts,
               lock_token IS NOT NULL AS locked, last_error
        FROM tasks ORDER BY id`,
  );

function gate() {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  return { open, opened };
}

describe("what a handler answers", () => {
  test("done removes the task; a moment puts it off until then", async () => {
    await due("a");
    await due("b");
    const seen: string[] = [];
    const handlers: TaskHandlers = {
      cluster: async (ctx, id) => {
        seen.push(id);
        return id === "a" ? "done" : { dueAtMs: ctx.clock.nowMs() + 1_000 };
      },
    };
    expect(await run(handlers)).toBe(2);
    expect(await states()).toEqual([{ id: "b", due_in: 1_000, attempts: 0, locked: false, last_error: null }]);
    expect(await run(handlers)).toBe(0);
    services.clock.pass(1_000);
    expect(await run(handlers)).toBe(1);
    expect(seen.sort()).toEqual(["a", "b", "b"]);
  });

  test("tasks that aren't due, or of other kinds, are left alone; the oldest come first, within the limit", async () => {
    await due("late", 1);
    await wake(services.db, "payment", "other", 0);
    await due("second", -1);
    await due("first", -2);
    const options = { owner: "w", handlers: { cluster: async () => "done" as const } };
    expect((await leaseTasks(services, options, 1)).map((task) => task.id)).toEqual(["first"]);
    expect((await leaseTasks(services, options, 5)).map((task) => task.id)).toEqual(["second"]);
    expect(await leaseTasks(services, options, 5)).toEqual([]);
  });

  test("an error is kept, counted and tried again for ever, later each time but never later than a minute", async () => {
    await due("a");
    const handlers: TaskHandlers = {
      cluster: async () => {
        throw new Error("no luck");
      },
    };
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 15; attempt++) {
      expect(await run(handlers)).toBe(1);
      const [state] = await states();
      expect(state).toMatchObject({ attempts: attempt, locked: false, last_error: "Error: no luck" });
      waits.push(state?.due_in ?? 0);
      services.clock.pass(state?.due_in ?? 0);
    }
    expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
    expect(waits[0]).toBeLessThanOrEqual(500);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(30_000);
    expect(services.counts.get("volley_task_failures_total")).toBe(15);
    expect(services.log.filter((line) => line.level === "error")).not.toEqual([]);
    await run({ cluster: async () => ({ dueAtMs: services.clock.nowMs() + 5 }) });
    expect(await states()).toMatchObject([{ attempts: 0, last_error: null }]);
  });
});

describe("one worker at a time", () => {
  test("many workers that look at once share the tasks, each taken once", async () => {
    for (let index = 0; index < 40; index++) await due(`task-${index}`);
    const seen: string[] = [];
    const handlers: TaskHandlers = {
      cluster: async (_, id) => {
        seen.push(id);
        return "done";
      },
    };
    const taken = await Promise.all(Array.from({ length: 16 }, (_, index) => run(handlers, `worker-${index}`, 10)));
    expect(taken.reduce((sum, count) => sum + count, 0)).toBe(40);
    expect(new Set(seen).size).toBe(40);
    expect(await states()).toEqual([]);
  });

  test("a task at work is taken by nobody else, however long it takes", async () => {
    await due("a");
    const { open, opened } = gate();
    const working = run({ cluster: () => opened.then(() => "done" as const) });
    await until("the task is leased", async () => (await states())[0]?.locked === true);
    for (let passed = 0; passed < 10; passed++) {
      services.clock.pass(10_000);
      // The holder extends its lease before it runs out.
      await until("the lease is extended", async () => {
        const [left] = await rows<{ left: number }>(
          services.db,
          sql`SELECT (lock_expires_at - ${services.clock.nowMs()}::bigint)::integer AS left FROM tasks`,
        );
        return (left?.left ?? 0) >= 29_000;
      });
      expect(await run({ cluster: async () => "done" }, "other")).toBe(0);
    }
    open();
    await working;
    expect(await states()).toEqual([]);
  });

  test("a crashed worker's task is taken over when its lease has run out, and its late result is dropped", async () => {
    await due("a");
    const options = { owner: "crashed", handlers: {}, leaseMs: 30_000 };
    const crashed = { ...options, handlers: { cluster: async () => ({ dueAtMs: 1 }) } };
    const [task] = await leaseTasks(services, crashed, 1);
    if (task === undefined) throw new Error("nothing was leased");
    services.clock.pass(29_999);
    expect(await run({ cluster: async () => "done" })).toBe(0);
    services.clock.pass(1);
    expect(await run({ cluster: async (ctx) => ({ dueAtMs: ctx.clock.nowMs() + 7_000 }) })).toBe(1);
    expect(await runTask(services, task, crashed, never)).toBe("stale");
    const done = { ...options, handlers: { cluster: async () => "done" as const } };
    expect(await runTask(services, task, done, never)).toBe("stale");
    const failing = {
      ...options,
      handlers: {
        cluster: async () => {
          throw new Error("late");
        },
      },
    };
    expect(await runTask(services, task, failing, never)).toBe("stale");
    expect(await states()).toEqual([{ id: "a", due_in: 7_000, attempts: 0, locked: false, last_error: null }]);
  });

  test("a handler that has lost its lease is told to stop", async () => {
    await due("a");
    let aborted = false;
    const working = run({
      cluster: (ctx) =>
        new Promise((_, reject) => {
          ctx.signal.addEventListener("abort", () => {
            aborted = true;
            reject(ctx.signal.reason);
          });
        }),
    });
    await until("the task is leased", async () => (await states())[0]?.locked === true);
    await services.db.execute(sql`UPDATE tasks SET lock_token = 'somebody else'`);
    services.clock.pass(10_000);
    await working;
    expect(aborted).toBe(true);
    expect(await states()).toMatchObject([{ locked: true, attempts: 0, last_error: null }]);
  });
});

describe("wake-ups", () => {
  test("one that comes while the task is at work makes it due at once, whatever the handler answered", async () => {
    for (const outcome of ["done", { dueAtMs: services.clock.nowMs() + 60_000 }] as const) {
      await due("a");
      const { open, opened } = gate();
      const working = run({ cluster: () => opened.then(() => outcome) });
      await until("the task is leased", async () => (await states())[0]?.locked === true);
      await due("a", 30_000);
      open();
      await working;
      expect(await states()).toMatchObject([{ id: "a", due_in: 0, locked: false }]);
      expect(await run({ cluster: async () => "done" })).toBe(1);
    }
  });

  test("one can only bring a task forward", async () => {
    await due("a", 5_000);
    await due("a", 9_000);
    expect(await states()).toMatchObject([{ due_in: 5_000 }]);
    await due("a", 1_000);
    expect(await states()).toMatchObject([{ due_in: 1_000 }]);
  });
});
