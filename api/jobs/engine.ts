/**
 * The reconciler engine. A task row is leased by token in one short statement, its handler works outside
 * any transaction, and the result is applied only while the token still holds. Whatever crashes, the lease
 * runs out and another worker repeats the step; that is why every step may be repeated.
 */
import { sql } from "drizzle-orm";
import { type Caller, type Services, systemContext } from "../context.ts";
import { rows } from "../db/database.ts";
import type { TaskKind } from "../db/tables.ts";

/** When the object has to be looked at again; `done` when never, unless something wakes it. */
export type TaskOutcome = { readonly dueAtMs: number } | "done";

/** What the engine itself needs; its handlers get all that their process holds. */
export type EngineServices = Pick<Services, "clock" | "random" | "db" | "logger" | "metrics" | "hints">;

/** One level-triggered step for one object. `ctx.signal` is aborted when the lease is lost or the worker must stop. */
export type TaskHandler<Held extends EngineServices = Services> = (
  ctx: Held & Caller,
  id: string,
) => Promise<TaskOutcome>;
export type TaskHandlers<Held extends EngineServices = Services> = Readonly<
  Partial<Record<TaskKind, TaskHandler<Held>>>
>;

export interface EngineOptions<Held extends EngineServices = Services> {
  /** Names the worker in the rows that it has leased. */
  readonly owner: string;
  readonly handlers: TaskHandlers<Held>;
  /** A worker that is silent for longer has lost its tasks. */
  readonly leaseMs?: number;
}

export interface LeasedTask {
  readonly kind: TaskKind;
  readonly id: string;
  readonly token: string;
  readonly revision: number;
  readonly attempts: number;
}

export const LEASE_MS_DEFAULT = 30_000;
const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 60_000;
/** After so many failures in a row somebody should look. The task goes on all the same. */
const ALARM_ATTEMPTS = 8;
const ERROR_LENGTH_MAX = 2000;

/** Takes up to `limit` due tasks that nobody holds, oldest first. */
export async function leaseTasks<Held extends EngineServices>(
  services: Held,
  options: EngineOptions<Held>,
  limit: number,
): Promise<LeasedTask[]> {
  const kinds = Object.keys(options.handlers);
  if (limit < 1 || kinds.length === 0) return [];
  const nowMs = services.clock.nowMs();
  const token = Buffer.from(services.random.bytes(16)).toString("hex");
  const expiresAtMs = nowMs + (options.leaseMs ?? LEASE_MS_DEFAULT);
  const leased = await rows<{ kind: TaskKind; id: string; revision: number; attempts: number }>(
    services.db,
    sql`WITH due AS (
          SELECT kind, id FROM tasks
          WHERE due_at <= ${nowMs}::bigint AND kind IN ${kinds}
            AND (lock_token IS NULL OR lock_expires_at <= ${nowMs}::bigint)
          ORDER BY due_at LIMIT ${limit} FOR UPDATE SKIP LOCKED
        )
        UPDATE tasks SET lock_token = ${token}, lock_owner = ${options.owner}, lock_expires_at = ${expiresAtMs}::bigint
        FROM due WHERE tasks.kind = due.kind AND tasks.id = due.id
        RETURNING tasks.kind, tasks.id, tasks.revision, tasks.attempts`,
  );
  return leased.map((task) => ({ ...task, token }));
}

/**
 * Runs one leased task and applies its result.
 * @returns `applied`, with `again` when it is due at once; `failed` when it will be tried again later;
 * `stale` when the lease was lost, in which case nothing was written
 */
export async function runTask<Held extends EngineServices>(
  services: Held,
  task: LeasedTask,
  options: EngineOptions<Held>,
  signal: AbortSignal,
): Promise<"applied" | "again" | "failed" | "stale"> {
  const handler = options.handlers[task.kind];
  if (handler === undefined) throw new TypeError(`no handler for tasks of kind "${task.kind}"`);
  const lost = new AbortController();
  const ended = new AbortController();
  const keeping = keepLease(services, task, options, ended.signal, lost);
  try {
    const outcome = await handler(systemContext(services, AbortSignal.any([signal, lost.signal])), task.id);
    return await applyOutcome(services, task, outcome);
  } catch (error) {
    return await applyFailure(services, task, error);
  } finally {
    ended.abort();
    await keeping;
  }
}

/** Takes one batch of due tasks and runs them side by side. @returns how many were taken */
export async function runTasks<Held extends EngineServices>(
  services: Held,
  options: EngineOptions<Held> & { readonly batch: number; readonly signal: AbortSignal },
): Promise<number> {
  const tasks = await leaseTasks(services, options, options.batch);
  const results = await Promise.allSettled(tasks.map((task) => runTask(services, task, options, options.signal)));
  for (const result of results) {
    // Its lease runs out and the step is repeated.
    if (result.status === "rejected") services.logger.error("a task's result was not stored", { error: result.reason });
  }
  return tasks.length;
}

/** Gives leased tasks back, due at once, so that another worker need not wait for the lease to run out. */
export async function handBackTasks(services: EngineServices, tasks: readonly LeasedTask[]): Promise<void> {
  for (const task of tasks) {
    await services.db.execute(
      sql`UPDATE tasks SET lock_token = NULL, lock_owner = NULL, lock_expires_at = NULL
          WHERE kind = ${task.kind} AND id = ${task.id} AND lock_token = ${task.token}`,
    );
  }
}

/** Extends the lease while the handler works; aborts the handler once somebody else holds the task. */
async function keepLease(
  services: EngineServices,
  task: LeasedTask,
  options: Pick<EngineOptions, "leaseMs">,
  ended: AbortSignal,
  lost: AbortController,
): Promise<void> {
  const leaseMs = options.leaseMs ?? LEASE_MS_DEFAULT;
  while (!ended.aborted) {
    const rested = await services.clock.sleep(leaseMs / 3, ended).then(
      () => true,
      () => false,
    );
    if (!rested || ended.aborted) return;
    try {
      const held = await rows(
        services.db,
        sql`UPDATE tasks SET lock_expires_at = ${services.clock.nowMs() + leaseMs}::bigint
            WHERE kind = ${task.kind} AND id = ${task.id} AND lock_token = ${task.token} RETURNING 1 AS held`,
      );
      if (held.length === 0) return lost.abort(new Error("the task's lease was lost"));
    } catch (error) {
      services.logger.warn("a task's lease could not be extended", { kind: task.kind, id: task.id, error });
    }
  }
}

/** A wake-up that came while the task was leased makes it due at once. */
async function applyOutcome(
  services: EngineServices,
  task: LeasedTask,
  outcome: TaskOutcome,
): Promise<"applied" | "again" | "stale"> {
  const held = sql`kind = ${task.kind} AND id = ${task.id} AND lock_token = ${task.token}`;
  if (outcome === "done") {
    const deleted = await rows(
      services.db,
      sql`DELETE FROM tasks WHERE ${held} AND revision = ${task.revision} RETURNING 1 AS deleted`,
    );
    if (deleted.length > 0) return "applied";
  }
  const nowMs = services.clock.nowMs();
  const dueAtMs = outcome === "done" ? nowMs : outcome.dueAtMs;
  const [applied] = await rows<{ due_at: string }>(
    services.db,
    sql`UPDATE tasks SET
          due_at = CASE WHEN revision = ${task.revision} THEN ${Math.ceil(dueAtMs)}::bigint ELSE ${nowMs}::bigint END,
          lock_token = NULL, lock_owner = NULL, lock_expires_at = NULL, attempts = 0, last_error = NULL,
          last_processed_at = ${nowMs}::bigint
        WHERE ${held} RETURNING due_at`,
  );
  if (applied === undefined) return "stale";
  return Number(applied.due_at) <= nowMs ? "again" : "applied";
}

async function applyFailure(services: EngineServices, task: LeasedTask, error: unknown): Promise<"failed" | "stale"> {
  const nowMs = services.clock.nowMs();
  const attempts = task.attempts + 1;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const fields = { kind: task.kind, id: task.id, attempts, error };
  services.metrics.count("volley_task_failures_total", { kind: task.kind });
  if (attempts >= ALARM_ATTEMPTS) services.logger.error("a task keeps failing", fields);
  else services.logger.warn("a task failed and will be tried again", fields);
  const applied = await rows(
    services.db,
    sql`UPDATE tasks SET
          due_at = CASE WHEN revision = ${task.revision} THEN ${nowMs + backoffMs(services, attempts)}::bigint
                        ELSE ${nowMs + BACKOFF_MS_MIN}::bigint END,
          lock_token = NULL, lock_owner = NULL, lock_expires_at = NULL, attempts = ${attempts},
          last_error = ${text.slice(0, ERROR_LENGTH_MAX)}, last_processed_at = ${nowMs}::bigint
        WHERE kind = ${task.kind} AND id = ${task.id} AND lock_token = ${task.token} RETURNING 1 AS applied`,
  );
  return applied.length === 0 ? "stale" : "failed";
}

/** Doubles from half a second to a minute, with the upper half of each step drawn by chance. */
function backoffMs(services: Pick<Services, "random">, attempts: number): number {
  const stepMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempts - 1, 20));
  const [byte = 0] = services.random.bytes(1);
  return Math.round(stepMs * (0.5 + byte / 510));
}
