import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { rows, wake } from "../../api/db/database.ts";
import { runTaskLoop } from "../../api/jobs/loop.ts";
import { runTick } from "../../api/jobs/tick.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { type TestServices, testServices, until } from "../harness/services.ts";

let database: TestDatabase;
let services: TestServices;
beforeAll(async () => {
  database = await createTestDatabase(10);
});
afterAll(() => database.close());
beforeEach(async () => {
  services = testServices(database);
  await database.db.execute(sql`DELETE FROM tasks`);
});

const due = (id: string) => wake(services.db, "cluster", id, services.clock.nowMs());
const locked = () => rows<{ id: string }>(services.db, sql`SELECT id FROM tasks WHERE lock_token IS NOT NULL`);

test("a hint wakes the loop although no time passes; without one, the next poll finds the task", async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  const handlers = {
    cluster: async (_: unknown, id: string) => {
      seen.push(id);
      return "done" as const;
    },
  };
  const loop = runTaskLoop(services, { owner: "loop", handlers }, stop.signal);
  await due("hinted");
  await until("the hint is heard", () => {
    services.hints.notify("tasks");
    return seen.includes("hinted");
  });
  await due("unhinted");
  await until("the poll finds it", () => {
    services.clock.pass(250);
    return seen.includes("unhinted");
  });
  stop.abort();
  await loop;
});

test("a slow task doesn't hold back the others, and no more run than allowed", async () => {
  const stop = new AbortController();
  let running = 0;
  let most = 0;
  const { promise: slow, resolve: finish } = Promise.withResolvers<void>();
  const finished: string[] = [];
  const handlers = {
    cluster: async (_: unknown, id: string) => {
      most = Math.max(most, ++running);
      if (id === "slow") await slow;
      finished.push(id);
      running--;
      return "done" as const;
    },
  };
  await due("slow");
  for (let index = 0; index < 10; index++) await due(`fast-${index}`);
  const loop = runTaskLoop(services, { owner: "loop", handlers, concurrency: 3 }, stop.signal);
  await until("all fast ones are done", () => {
    services.hints.notify("tasks");
    return finished.length === 10;
  });
  expect(finished).not.toContain("slow");
  expect(most).toBeLessThanOrEqual(3);
  finish();
  stop.abort();
  await loop;
  expect(finished).toContain("slow");
});

test("stopping lets tasks at work finish", async () => {
  const stop = new AbortController();
  const { promise: work, resolve: finish } = Promise.withResolvers<void>();
  await due("a");
  const handlers = { cluster: () => work.then(() => "done" as const) };
  const loop = runTaskLoop(services, { owner: "loop", handlers }, stop.signal);
  await until("it is at work", async () => (await locked()).length === 1);
  stop.abort();
  finish();
  await loop;
  expect(await rows(services.db, sql`SELECT 1 FROM tasks`)).toEqual([]);
});

test("what doesn't finish in time is told to stop and handed back, due at once", async () => {
  const stop = new AbortController();
  let told = false;
  await due("a");
  const handlers = {
    cluster: (ctx: { signal: AbortSignal }) =>
      new Promise<"done">((_, reject) => {
        ctx.signal.addEventListener("abort", () => {
          told = true;
          reject(ctx.signal.reason);
        });
      }),
  };
  const loop = runTaskLoop(services, { owner: "loop", handlers, drainMs: 5_000 }, stop.signal);
  await until("it is at work", async () => (await locked()).length === 1);
  stop.abort();
  let ended = false;
  loop.then(() => {
    ended = true;
  });
  await until("the drain is over", () => {
    services.clock.pass(1_000);
    return ended;
  });
  expect(told).toBe(true);
  expect(await rows(services.db, sql`SELECT id, attempts, lock_token FROM tasks`)).toEqual([
    { id: "a", attempts: 0, lock_token: null },
  ]);
});

test("a tick works like the loop and stops at its deadline", async () => {
  const seen: string[] = [];
  const handlers = {
    cluster: async (_: unknown, id: string) => {
      seen.push(id);
      return "done" as const;
    },
  };
  await due("first");
  let ended = false;
  const tick = runTick(services, { owner: "cron", handlers, deadlineMs: 50_000 }, new AbortController().signal);
  tick.then(() => {
    ended = true;
  });
  await until("the first is done", () => seen.includes("first"));
  await due("second");
  await until("the second is done", () => {
    services.clock.pass(250);
    return seen.includes("second");
  });
  expect(ended).toBe(false);
  services.clock.pass(50_000);
  await tick;
});

test("the loop outlives a database that doesn't answer for a while", async () => {
  const stop = new AbortController();
  const broken = {
    ...services,
    db: new Proxy(services.db, {
      get: () => {
        throw new Error("down");
      },
    }),
  };
  const loop = runTaskLoop(broken, { owner: "loop", handlers: { cluster: async () => "done" } }, stop.signal);
  await until("it has complained", () => {
    services.clock.pass(250);
    return services.log.filter((line) => line.message.includes("could not be read")).length > 2;
  });
  stop.abort();
  await loop;
});
