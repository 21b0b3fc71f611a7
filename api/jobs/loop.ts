/** The engine as a loop, for Node: woken by hints at once, by polling at the latest. */
import type { Services } from "../context.ts";
import {
  type EngineOptions,
  type EngineServices,
  handBackTasks,
  type LeasedTask,
  leaseTasks,
  runTask,
} from "./engine.ts";

export interface LoopOptions<Held extends EngineServices = Services> extends EngineOptions<Held> {
  /** Tasks at work at the same time. */
  readonly concurrency?: number;
  /** How often to look for due tasks when nothing says that there are some. */
  readonly pollMs?: number;
  /** How long a stopping loop lets its handlers finish before it hands their tasks back. */
  readonly drainMs?: number;
}

/** How long handlers that were told to stop have to do so. */
const CUT_MS = 1_000;

/** Runs due tasks until the signal; then finishes what it has begun, or hands it back. Never rejects. */
export async function runTaskLoop<Held extends EngineServices>(
  services: Held,
  options: LoopOptions<Held>,
  signal: AbortSignal,
): Promise<void> {
  const { concurrency = 16, pollMs = 250, drainMs = 10_000 } = options;
  const running = new Map<LeasedTask, Promise<void>>();
  const cut = new AbortController();

  const start = (task: LeasedTask) => {
    const work = runTask(services, task, options, cut.signal)
      .then((result) => {
        if (result === "again") services.hints.notify("tasks");
      })
      .catch((error) => services.logger.error("a task's result could not be stored", { ...task, token: null, error }))
      .finally(() => running.delete(task));
    running.set(task, work);
  };

  while (!signal.aborted) {
    const free = concurrency - running.size;
    if (free === 0) {
      await Promise.race(running.values());
      continue;
    }
    // The wait begins before the look, so that a hint that comes in between is not missed.
    const looked = new AbortController();
    const hint = services.hints.wait("tasks", pollMs, AbortSignal.any([signal, looked.signal])).catch(() => undefined);
    let taken: LeasedTask[] = [];
    try {
      taken = await leaseTasks(services, options, free);
    } catch (error) {
      services.logger.error("due tasks could not be read", { error });
    }
    for (const task of taken) start(task);
    if (taken.length === 0) await hint;
    else looked.abort();
  }

  await settleWithin(services, running.values(), drainMs);
  if (running.size === 0) return;
  try {
    await handBackTasks(services, [...running.keys()]);
  } catch (error) {
    services.logger.error("tasks could not be handed back; their leases run out by themselves", { error });
  }
  cut.abort(new Error("the worker is stopping"));
  await settleWithin(services, running.values(), CUT_MS);
}

async function settleWithin(
  services: Pick<Services, "clock">,
  work: Iterable<Promise<void>>,
  ms: number,
): Promise<void> {
  const settled = new AbortController();
  await Promise.race([Promise.all(work), services.clock.sleep(ms, settled.signal).catch(() => undefined)]);
  settled.abort();
}
