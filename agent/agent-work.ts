import type { ExecutionRequest } from "@volley/sdk";
import { runAssignmentLoop } from "./control/assignment-loop.ts";
import { Backoff } from "./control/backoff.ts";
import { runHeartbeatLoop } from "./control/heartbeat-loop.ts";
import { runReportLoop } from "./control/report-loop.ts";
import { ReportQueue } from "./control/report-queue.ts";
import { ServerClock } from "./control/server-clock.ts";
import { Executions } from "./leases/executions.ts";
import { LeaseKeeper } from "./leases/lease-keeper.ts";
import type { Machine } from "./leases/to-workload.ts";
import { within } from "./leases/within.ts";
import type { AgentLog, Clock, ControlPlane } from "./ports.ts";
import type { WorkloadRuntime } from "./runtime/workload-runtime.ts";
import type { Counters } from "./state/counters.ts";
import { LeaseBook } from "./state/lease-book.ts";

export interface AgentWorkOptions {
  readonly nodeId: string;
  readonly api: ControlPlane;
  readonly runtime: WorkloadRuntime;
  readonly machine: Machine;
  readonly dataDirectory: string;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: AgentLog;
}

/** How often the machine is compared with what should be, when nothing else asks for it. */
const stepIntervalMs = 1_000;
const sweepIntervalMs = 60_000;
/** With the interval above, a workload is gone well within ten seconds after its lease has ended. */
const stopGraceMs = 5_000;
const stopAllTimeoutMs = 30_000;
const farewellMs = 3_000;
const pollMs = 20;
const queueMaxBytes = 4 * 1024 * 1024;

/** What a machine does once it has joined: four loops that know of each other only through what they share here. */
export class AgentWork {
  readonly #options: AgentWorkOptions;
  readonly #queue = new ReportQueue({ maxBytes: queueMaxBytes });
  readonly #book: LeaseBook;
  readonly #serverClock: ServerClock;
  readonly #executions: Executions;
  readonly #keeper: LeaseKeeper;
  /** Ends the loops that take on work. */
  readonly #asking = new AbortController();
  /** Ends the loop that reports, which is the last to go. */
  readonly #reporting = new AbortController();
  #wake = new AbortController();
  /** Null until the control plane has spoken. */
  #requests: readonly ExecutionRequest[] | null = null;
  #working: Promise<unknown> = Promise.resolve();
  #reports: Promise<void> = Promise.resolve();
  #sweep: Promise<void> | null = null;

  constructor(options: AgentWorkOptions) {
    const { dataDirectory, clock } = options;
    const book = new LeaseBook(dataDirectory, options.log);
    const serverClock = new ServerClock(clock, book);
    const shared = { ...options, book, queue: this.#queue, serverClock };
    this.#options = options;
    this.#book = book;
    this.#serverClock = serverClock;
    this.#executions = new Executions({ ...shared, readiness: (leaseId) => this.#keeper.readiness(leaseId) });
    const onStopping = (leaseId: string) => this.#executions.abort("the lease has ended", leaseId);
    this.#keeper = new LeaseKeeper({ ...shared, stopGraceMs, onStopping });
  }

  begin(): void {
    const { clock, random } = this.#options;
    const loop = () => ({
      ...this.#options,
      serverClock: this.#serverClock,
      backoff: new Backoff(clock, random),
      signal: this.#asking.signal,
    });
    this.#working = Promise.all([
      this.#keep(this.#asking.signal),
      runHeartbeatLoop({
        ...loop(),
        observe: () => this.#keeper.observations(),
      }),
      runAssignmentLoop({
        ...loop(),
        apply: (assignments) => {
          this.#keeper.apply(assignments);
          this.#requests = assignments.executions;
          this.#wake.abort();
        },
      }),
    ]);
    this.#reports = runReportLoop({ ...loop(), queue: this.#queue, signal: this.#reporting.signal });
  }

  async stop(stopWorkloads: boolean): Promise<void> {
    this.#asking.abort();
    await this.#working;
    this.#executions.abort("the machine's agent stops");
    await this.#executions.settled();
    if (stopWorkloads) {
      await this.#keeper.stopAll(stopAllTimeoutMs);
    }
    await this.#keeper.close();
    await this.#sweep;
    await this.#sayFarewell();
    this.#reporting.abort();
    await this.#reports;
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let sweepAtMs = clock.monotonicMs();
    let troubled = false;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        this.#book.saveRest();
        await this.#keeper.step();
        if (this.#requests !== null) {
          this.#executions.apply(this.#requests);
        }
        if (clock.monotonicMs() >= sweepAtMs && this.#sweep === null) {
          this.#beginSweep();
          sweepAtMs = clock.monotonicMs() + sweepIntervalMs;
        }
        troubled = false;
      } catch (error) {
        if (!troubled) {
          log.warn("The machine's workloads cannot be looked after; it will be tried again.", {
            problem: String(error),
          });
        }
        troubled = true;
      }
      await clock.sleep(stepIntervalMs, AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  /** Beside the steps, which a slow engine would hold up: leases end whether anything is swept or not. */
  #beginSweep(): void {
    const { runtime, log } = this.#options;
    this.#sweep = runtime
      .sweep()
      .catch((error: unknown) => log.warn("What is left over could not be removed.", { problem: String(error) }))
      .finally(() => {
        this.#sweep = null;
      });
  }

  /** Delivers what is left, and tells that no new work is wanted; for a moment only, since nobody may be listening. */
  async #sayFarewell(): Promise<void> {
    const { nodeId, api, clock, log } = this.#options;
    const leases = this.#keeper.observations();
    const deadlineMs = clock.monotonicMs() + farewellMs;
    const delivery = (async () => {
      if (leases !== null) {
        const farewell = { leases: [...leases], draining: true };
        await api.heartbeat(nodeId, farewell, { timeoutMs: farewellMs, maxRetries: 0 });
      }
      while (!this.#queue.isEmpty && clock.monotonicMs() < deadlineMs) {
        await clock.sleep(pollMs);
      }
    })().catch((error: unknown) => log.warn("The API was not told of the stop.", { problem: String(error) }));
    await within(clock, farewellMs, delivery);
  }
}
