/** Many runs on several processes: no run knows of another. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import type { Stroke } from "../crash/plan.ts";
import type { FlowResult } from "../crash/sweep.ts";
import type { SeedResult } from "./run-seed.ts";

const PROCESSES_MAX = 8;
/** A process of its own costs a database of its own. */
const RUNS_PER_PROCESS_MIN = 10;

export interface SeedOrder {
  readonly seed: string;
  readonly rentals: number;
}

/** One flow of the crash points with one call struck. */
export interface FlowOrder {
  readonly flow: string;
  readonly stroke: Stroke;
}

export function runSeeds(orders: readonly SeedOrder[], onResult: (result: SeedResult) => void): Promise<void> {
  return runOrders(orders, (_order, result) => onResult(result as SeedResult));
}

export function runFlows(
  orders: readonly FlowOrder[],
  onResult: (order: FlowOrder, result: FlowResult) => void,
): Promise<void> {
  return runOrders(orders, (order, result) => onResult(order, result as FlowResult));
}

/** Calls back with each result, in whatever order they come. */
async function runOrders<Order extends object>(
  orders: readonly Order[],
  onResult: (order: Order, result: unknown) => void,
): Promise<void> {
  const wanted = Math.ceil(orders.length / RUNS_PER_PROCESS_MIN);
  const workers = Math.max(1, Math.min(wanted, availableParallelism(), PROCESSES_MAX));
  const queue = [...orders];
  await Promise.all(Array.from({ length: workers }, () => work(queue, onResult)));
}

async function work<Order extends object>(
  queue: Order[],
  onResult: (order: Order, result: unknown) => void,
): Promise<void> {
  const child = fork(new URL("worker.ts", import.meta.url), { serialization: "advanced", execArgv: [] });
  const exited = once(child, "exit");
  try {
    await message(child);
    for (let order = queue.shift(); order !== undefined; order = queue.shift()) {
      const answer = message(child);
      child.send(order);
      onResult(order, await answer);
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
