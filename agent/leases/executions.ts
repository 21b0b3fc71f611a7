import type { ExecutionExit, ExecutionRequest } from "@volley/sdk";
import { encodeData, splitData } from "../control/encode-chunk.ts";
import type { ReportQueue } from "../control/report-queue.ts";
import type { AgentLog } from "../ports.ts";
import { WorkloadError, type WorkloadRuntime } from "../runtime/workload-runtime.ts";
import type { LeaseBook } from "../state/lease-book.ts";

/** A command in one lease. */
type Command = Pick<ExecutionRequest, "executionId" | "leaseId">;

/** Whether a command can run in a lease: now, later, or never. */
export type Readiness = "ready" | "not_yet" | "never";

export interface ExecutionsOptions {
  readonly runtime: WorkloadRuntime;
  readonly book: LeaseBook;
  readonly queue: ReportQueue;
  readonly readiness: (leaseId: string) => Readiness;
  readonly log: AgentLog;
}

/** As a shell reports a command that a signal killed. */
const killedCode = 137;
/** As a shell reports a command that could not be run. */
const notRunCode = 126;
/** Of one lease: what a renter leaves running is no reason for another renter's commands to wait. */
const runningMax = 64;

class CancelledError extends Error {
  override readonly name = "CancelledError";
}

/**
 * Runs the commands that the control plane asks for, each at most once: a command is noted in the book before it
 * begins, and one that an earlier agent process began is ended and reported, not begun again.
 */
export class Executions {
  readonly #options: ExecutionsOptions;
  readonly #running = new Map<string, AbortController>();
  readonly #settling = new Set<Promise<void>>();

  constructor(options: ExecutionsOptions) {
    this.#options = options;
  }

  /** Takes one step towards what is asked for; may be repeated at any time with the same or newer requests. */
  apply(requests: readonly ExecutionRequest[]): void {
    const { book } = this.#options;
    for (const request of requests) {
      this.#step(request);
    }
    const asked = new Set(requests.map(keyOf));
    for (const [key, entry] of book.executions) {
      const running = this.#running.get(key);
      if (asked.has(key)) {
        continue;
      }
      if (entry.state === "delivered") {
        book.forgetExecution(key);
      } else if (running !== undefined) {
        running.abort(new CancelledError("the command is no longer asked for"));
      } else {
        const command = { executionId: key.slice(0, -`.${entry.leaseId}`.length), leaseId: entry.leaseId };
        this.#begin(command, () => this.#endOrphan(command));
      }
    }
  }

  /** Ends the commands of a lease, or all. */
  abort(reason: string, leaseId?: string): void {
    for (const [key, controller] of this.#running) {
      if (leaseId === undefined || this.#options.book.executions.get(key)?.leaseId === leaseId) {
        controller.abort(new CancelledError(reason));
      }
    }
  }

  /** Resolves when no command runs; their exits are queued. */
  async settled(): Promise<void> {
    await Promise.all(this.#settling);
  }

  #step(request: ExecutionRequest): void {
    const { book, readiness } = this.#options;
    const { leaseId } = request;
    const known = book.executions.get(keyOf(request));
    const running = this.#running.get(keyOf(request));
    if (known?.state === "delivered") {
      return;
    }
    if (running !== undefined) {
      if (request.cancelled) {
        running.abort(new CancelledError("the command was cancelled"));
      }
    } else if (known !== undefined) {
      this.#begin(request, () => this.#endOrphan(request));
    } else if (request.cancelled) {
      this.#begin(request, async () => exit(request, killedCode, "The command was cancelled before it began."));
    } else if (readiness(leaseId) === "never") {
      this.#begin(request, async () => exit(request, notRunCode, "The node is not running, so the command cannot."));
    } else if (readiness(leaseId) === "ready" && this.#runningIn(leaseId) < runningMax) {
      this.#begin(request, (signal) => this.#run(request, signal));
    }
  }

  #runningIn(leaseId: string): number {
    const { executions } = this.#options.book;
    return [...this.#running.keys()].filter((key) => executions.get(key)?.leaseId === leaseId).length;
  }

  #begin(request: Command, work: (signal: AbortSignal) => Promise<ExecutionExit>): void {
    const { book, queue, log } = this.#options;
    const { executionId, leaseId } = request;
    const key = keyOf(request);
    if (!book.executions.has(key) && !book.addExecution(key, leaseId)) {
      return;
    }
    const controller = new AbortController();
    this.#running.set(key, controller);
    const settled = work(controller.signal)
      .catch((error: unknown) => {
        log.warn("A command failed in the agent.", { execution: executionId, problem: String(error) });
        return exit(request, notRunCode, "The agent could not run the command.");
      })
      .then((result) => {
        // Removed only when the exit was delivered: until then it must not look like a command of an earlier process.
        queue.pushExit(result, () => {
          this.#running.delete(key);
          book.noteDelivery(key, leaseId);
        });
      });
    this.#settling.add(settled);
    settled.finally(() => this.#settling.delete(settled));
  }

  async #run(request: ExecutionRequest, signal: AbortSignal): Promise<ExecutionExit> {
    const { runtime, queue } = this.#options;
    const { executionId, leaseId } = request;
    const stdin = request.stdin === null ? null : Buffer.from(request.stdin);
    let sequence = 0;
    try {
      const events = runtime.exec(leaseId, {
        execId: keyOf(request),
        command: request.command,
        stdin,
        env: request.env,
        signal,
      });
      for await (const event of events) {
        if ("exitCode" in event) {
          return exit(request, event.exitCode, null);
        }
        for (const piece of splitData(event.data)) {
          const chunk = { leaseId, executionId, sequence, stream: event.stream, ...encodeData(piece) };
          await queue.pushChunk(chunk, signal);
          sequence += 1;
        }
      }
      return exit(request, killedCode, "The command ended without an exit code.");
    } catch (error) {
      if (error instanceof CancelledError) {
        return exit(request, killedCode, `The command was ended: ${error.message}.`);
      }
      if (error instanceof WorkloadError) {
        return exit(request, notRunCode, error.message);
      }
      throw error;
    }
  }

  async #endOrphan(request: Command): Promise<ExecutionExit> {
    await this.#options.runtime.killExec(request.leaseId, keyOf(request));
    return exit(request, killedCode, "The machine's agent was restarted while the command ran.");
  }
}

/** One execution runs in several leases, of which this machine may have more than one. */
function keyOf({ executionId, leaseId }: Command): string {
  return `${executionId}.${leaseId}`;
}

function exit(request: Command, code: number, reason: string | null): ExecutionExit {
  const { executionId, leaseId } = request;
  return { leaseId, executionId, code, ...(reason === null ? {} : { reason: reason.slice(0, 1_000) }) };
}
