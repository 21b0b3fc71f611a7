/** Many seeds on several processes: a seed's run knows nothing of the others. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import type { SeedResult } from "./run-seed.ts";

const PROCESSES_MAX = 8;
/** A process of its own costs a database of its own. */
const SEEDS_PER_PROCESS_MIN = 10;

export interface SeedOrder {
  readonly seed: string;
  readonly rentals: number;
}

/** Calls back with each result, in whatever order they come. */
export async function runSeeds(orders: readonly SeedOrder[], onResult: (result: SeedResult) => void): Promise<void> {
  const wanted = Math.ceil(orders.length / SEEDS_PER_PROCESS_MIN);
  const workers = Math.max(1, Math.min(wanted, availableParallelism(), PROCESSES_MAX));
  const queue = [...orders];
  await Promise.all(Array.from({ length: workers }, () => work(queue, onResult)));
}

async function work(queue: SeedOrder[], onResult: (result: SeedResult) => void): Promise<void> {
  const child = fork(new URL("worker.ts", import.meta.url), { serialization: "advanced" });
  const exited = once(child, "exit");
  try {
    await message(child);
    for (let order = queue.shift(); order !== undefined; order = queue.shift()) {
      const answer = message(child);
      child.send(order);
      onResult((await answer) as SeedResult);
    }
  } finally {
    if (child.connected) child.disconnect();
    await exited;
  }
}

/** The child's next message; rejects when it ends instead. */
function message(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onMessage = (content: unknown) => {
      child.off("exit", onExit);
      resolve(content);
    };
    const onExit = (code: number | null) => {
      child.off("message", onMessage);
      reject(new Error(`a process of the simulation ended with ${code}`));
    };
    child.once("message", onMessage);
    child.once("exit", onExit);
  });
}
