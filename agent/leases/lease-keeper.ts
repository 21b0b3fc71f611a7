import type { Assignments, LeaseAssignment, LeaseObservation } from "@volley/sdk";
import type { ReportQueue } from "../control/report-queue.ts";
import type { ServerClock } from "../control/server-clock.ts";
import type { AgentLog, Clock } from "../ports.ts";
import { type ObservedWorkload, WorkloadError, type WorkloadRuntime } from "../runtime/workload-runtime.ts";
import type { LeaseBook, LeaseEntry, LeaseOutcome } from "../state/lease-book.ts";
import type { Readiness } from "./executions.ts";
import { followLog } from "./follow-log.ts";
import type { LeaseTask, LogFollower } from "./lease-task.ts";
import { probeWorkload } from "./probe-workload.ts";
import { type Machine, toWorkload } from "./to-workload.ts";
import { within } from "./within.ts";

export interface LeaseKeeperOptions {
  readonly runtime: WorkloadRuntime;
  readonly machine: Machine;
  readonly book: LeaseBook;
  readonly queue: ReportQueue;
  readonly clock: Clock;
  readonly serverClock: ServerClock;
  readonly log: AgentLog;
  /** How long a workload may take to end after SIGTERM. */
  readonly stopGraceMs: number;
  /** Called when a lease stops being usable, so that commands in it can be ended. */
  readonly onStopping: (leaseId: string) => void;
}

const startAttempts = 3;
const startRetryMs = 1_000;
const stopRetryMs = 200;
const lastWordsMs = 2_000;
/** As long as an engine may take for one answer. */
const observedForMs = 120_000;

/**
 * Makes what runs on this machine equal to what should. Each `step` looks at the machine, compares, and begins at most
 * one idempotent task per lease; it needs to know nothing of what happened before, so it may be repeated, crash
 * anywhere, and go on in another process.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  /** Null until the control plane has spoken in the life of this process. */
  #assigned: ReadonlyMap<string, LeaseAssignment> | null = null;
  /** Null until the machine was looked at. */
  #observed: Map<string, ObservedWorkload> | null = null;
  #observedAtMs = 0;
  readonly #tasks = new Map<string, LeaseTask>();
  readonly #followers = new Map<string, LogFollower>();
  #stopEverything = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Takes over what should run now. Written down first, so that a restart without the control plane knows it too. */
  apply(assignments: Assignments): void {
    const { book } = this.#options;
    const assigned = new Map(assignments.leases.map((lease) => [lease.leaseId, lease]));
    for (const [leaseId, lease] of assigned) {
      const endsAtMs = Date.parse(lease.endsAt);
      const desired = lease.desired === "running" ? "running" : "stopped";
      const known = book.leases.get(leaseId);
      if (known === undefined && desired === "running") {
        const log = { nextSequence: 0, cursor: null };
        book.addLease(leaseId, { clusterId: lease.clusterId, endsAtMs, desired, ready: false, outcome: null, log });
      } else if (known !== undefined && (known.endsAtMs !== endsAtMs || known.desired !== desired)) {
        book.changeLease(leaseId, { endsAtMs, desired });
      }
    }
    for (const [leaseId, entry] of book.leases) {
      if (!assigned.has(leaseId) && entry.desired === "running") {
        book.changeLease(leaseId, { desired: "stopped" });
      }
    }
    this.#assigned = assigned;
  }

  /** Looks at the machine and begins what is missing. */
  async step(): Promise<void> {
    const busy = new Set(this.#tasks.keys());
    const workloads = await this.#options.runtime.list();
    const observed = new Map(workloads.map((workload) => [workload.leaseId, workload]));
    for (const leaseId of busy) {
      // The list may be older than what a task has done meanwhile; the next one will tell.
      const known = this.#observed?.get(leaseId);
      known === undefined ? observed.delete(leaseId) : observed.set(leaseId, known);
    }
    this.#observed = observed;
    this.#observedAtMs = this.#options.clock.monotonicMs();
    for (const leaseId of new Set([...this.#options.book.leases.keys(), ...observed.keys()])) {
      const task = this.#tasks.get(leaseId);
      const wanted = this.#isWanted(leaseId);
      if (task?.kind === "starting" && !wanted) {
        task.abort.abort(new Error("the lease has ended"));
      } else if (!busy.has(leaseId)) {
        this.#stepLease(leaseId, observed.get(leaseId) ?? null, wanted);
      }
    }
  }

  /**
   * What to tell of every lease that is here or on its way; null as long as the machine was not looked at, and when that
   * was too long ago to be told as what is.
   */
  observations(): readonly LeaseObservation[] | null {
    const ageMs = this.#options.clock.monotonicMs() - this.#observedAtMs;
    if (this.#observed === null || ageMs > observedForMs) {
      return null;
    }
    const leaseIds = new Set([...this.#options.book.leases.keys(), ...this.#observed.keys()]);
    return [...leaseIds].flatMap((leaseId) => this.#observe(leaseId) ?? []);
  }

  readiness(leaseId: string): Readiness {
    const entry = this.#options.book.leases.get(leaseId);
    if (entry === undefined) {
      return this.#assigned?.get(leaseId)?.desired === "running" ? "not_yet" : "never";
    }
    if (entry.outcome !== null || !this.#isWanted(leaseId)) {
      return "never";
    }
    return entry.ready ? "ready" : "not_yet";
  }

  /** Stops every workload and returns when all are gone, or after `timeoutMs` with a warning. */
  async stopAll(timeoutMs: number): Promise<void> {
    const { clock, log } = this.#options;
    this.#stopEverything = true;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      await this.step();
      const tasks = [...this.#tasks.values()].map((task) => task.done);
      await within(clock, Math.max(deadlineMs - clock.monotonicMs(), 0), Promise.all(tasks));
      if (this.#observed?.size === 0 && this.#tasks.size === 0) {
        return;
      }
      if (clock.monotonicMs() > deadlineMs) {
        log.warn("Workloads are still here; start the agent again to stop them.", { count: this.#observed?.size });
        return;
      }
      await clock.sleep(stopRetryMs);
    }
  }

  /** Ends what is being done, and leaves the workloads alone. */
  async close(): Promise<void> {
    for (const { abort } of [...this.#followers.values(), ...this.#tasks.values()]) {
      abort.abort(new Error("the agent stops"));
    }
    await Promise.all([...this.#followers.values(), ...this.#tasks.values()].map((work) => work.done));
  }

  /** Wanted are leases that the control plane wants and whose end has not come, whatever it says afterwards. */
  #isWanted(leaseId: string): boolean {
    const entry = this.#options.book.leases.get(leaseId);
    const { serverClock } = this.#options;
    return (
      !this.#stopEverything &&
      entry !== undefined &&
      entry.desired === "running" &&
      entry.outcome?.state !== "ended" &&
      serverClock.nowMs() < entry.endsAtMs
    );
  }

  #stepLease(leaseId: string, seen: ObservedWorkload | null, wanted: boolean): void {
    const entry = this.#options.book.leases.get(leaseId);
    if (entry === undefined || !wanted) {
      this.#stepAway(leaseId, seen, entry);
    } else if (entry.outcome?.state === "failed") {
      if (seen !== null) {
        this.#beginStop(leaseId);
      }
    } else if (seen === null || seen.state === "starting") {
      this.#stepAbsent(leaseId, entry);
    } else {
      this.#follow(leaseId);
      this.#stepPresent(leaseId, seen, entry);
    }
  }

  /** The workload should not be here. */
  #stepAway(leaseId: string, seen: ObservedWorkload | null, entry: LeaseEntry | undefined): void {
    const { book, serverClock } = this.#options;
    if (seen !== null) {
      if (entry === undefined) {
        this.#options.log.warn("A workload without a lease is stopped.", { lease: leaseId });
      }
      this.#beginStop(leaseId);
    } else if (entry !== undefined) {
      const overdue = serverClock.nowMs() >= entry.endsAtMs;
      if (overdue && entry.outcome === null) {
        // Not to be started again, should the control plane extend a lease that has already ended here.
        book.changeLease(leaseId, { outcome: { state: "ended", exitCode: null, reason: "The lease has ended." } });
      }
      if (this.#assigned !== null && !this.#assigned.has(leaseId)) {
        this.#followers.get(leaseId)?.abort.abort(new Error("the lease is over"));
        this.#followers.delete(leaseId);
        book.forgetLease(leaseId);
      }
    }
  }

  /** The workload should be here and is not, or was created and not started. */
  #stepAbsent(leaseId: string, entry: LeaseEntry): void {
    const assignment = this.#assigned?.get(leaseId);
    if (entry.ready || entry.outcome !== null) {
      this.#conclude(leaseId, {
        state: "failed",
        exitCode: null,
        reason: "The workload disappeared from the machine.",
      });
    } else if (assignment !== undefined) {
      this.#beginStart(assignment);
    }
  }

  /** The workload should be here and is. */
  #stepPresent(leaseId: string, seen: ObservedWorkload, entry: LeaseEntry): void {
    const assignment = this.#assigned?.get(leaseId);
    if (seen.state === "exited") {
      if (entry.outcome === null) {
        const { exitCode } = seen;
        const reason = `The startup script ended${exitCode === null ? "" : ` with exit code ${exitCode}`}; no commands run here any more.`;
        this.#conclude(leaseId, { state: "exited", exitCode, reason });
      }
    } else if (!entry.ready && assignment !== undefined) {
      this.#beginStart(assignment);
    }
  }

  #beginStart(assignment: LeaseAssignment): void {
    const { leaseId } = assignment;
    this.#begin(leaseId, "starting", async (signal) => {
      try {
        await this.#start(assignment, signal);
        signal.throwIfAborted();
        this.#options.book.changeLease(leaseId, { ready: true });
        this.#options.log.info("A workload is ready.", { lease: leaseId });
      } catch (error) {
        if (!signal.aborted) {
          const reason = error instanceof Error ? error.message : String(error);
          this.#conclude(leaseId, { state: "failed", exitCode: null, reason });
        }
      }
    });
    this.#tell(leaseId);
  }

  async #start(assignment: LeaseAssignment, signal: AbortSignal): Promise<void> {
    const { runtime, machine, clock } = this.#options;
    const spec = toWorkload(assignment, machine);
    for (let attempt = 1; ; attempt++) {
      try {
        await runtime.start(spec, signal);
        this.#follow(spec.leaseId);
        break;
      } catch (error) {
        // An engine that did not answer may answer the next time; one that said no will say it again.
        if (signal.aborted || error instanceof WorkloadError || attempt === startAttempts) {
          throw error;
        }
        await clock.sleep(startRetryMs, signal);
      }
    }
    await probeWorkload(runtime, spec, { clock, signal });
  }

  #beginStop(leaseId: string): void {
    const { runtime, log, onStopping, stopGraceMs } = this.#options;
    onStopping(leaseId);
    this.#begin(leaseId, "stopping", async () => {
      try {
        await runtime.stop(leaseId, { graceMs: stopGraceMs, beforeRemoval: () => this.#lastWords(leaseId) });
        this.#observed?.delete(leaseId);
        log.info("A workload is gone.", { lease: leaseId });
      } catch (error) {
        // The next step finds it still there and tries again, for ever.
        log.warn("A workload could not be stopped; it will be tried again.", {
          lease: leaseId,
          problem: String(error),
        });
      }
    });
  }

  #begin(leaseId: string, kind: LeaseTask["kind"], work: (signal: AbortSignal) => Promise<void>): void {
    const abort = new AbortController();
    // Begins in a later microtask, when the task is already in the map.
    const done = Promise.resolve()
      .then(() => work(abort.signal))
      .finally(() => {
        this.#tasks.delete(leaseId);
        this.#tell(leaseId);
      });
    this.#tasks.set(leaseId, { kind, abort, done });
  }

  #conclude(leaseId: string, outcome: LeaseOutcome): void {
    this.#options.book.changeLease(leaseId, { outcome });
    this.#options.log.warn("A workload has come to its end.", { lease: leaseId, reason: outcome.reason });
    this.#tell(leaseId);
  }

  #follow(leaseId: string): void {
    if (this.#followers.has(leaseId)) {
      return;
    }
    const { log } = this.#options;
    const abort = new AbortController();
    const done = followLog({ ...this.#options, leaseId, signal: abort.signal }).then(
      () => {
        // Closed by an engine that was restarted, not by the workload's end.
        if (this.#observed?.get(leaseId)?.state === "running") {
          this.#followers.delete(leaseId);
        }
      },
      (error: unknown) => {
        if (!abort.signal.aborted) {
          log.warn("A log could not be read to its end.", { lease: leaseId, problem: String(error) });
          // Read on from where delivery stopped when the workload is seen the next time.
          this.#followers.delete(leaseId);
        }
      },
    );
    this.#followers.set(leaseId, { abort, done });
  }

  /** Lets the log's end be read before it goes, but not for long: the machine may be needed by others. */
  async #lastWords(leaseId: string): Promise<void> {
    const follower = this.#followers.get(leaseId);
    if (follower !== undefined) {
      await within(this.#options.clock, lastWordsMs, follower.done);
      follower.abort.abort(new Error("the workload is removed"));
      await follower.done;
      this.#followers.delete(leaseId);
    }
  }

  #tell(leaseId: string): void {
    this.#options.queue.putLease(this.#observe(leaseId) ?? { leaseId, state: "absent" });
  }

  #observe(leaseId: string): LeaseObservation | null {
    const entry = this.#options.book.leases.get(leaseId);
    const seen = this.#observed?.get(leaseId);
    const outcome = entry?.outcome ?? null;
    if (outcome !== null && outcome.state !== "ended" && (seen !== undefined || this.#isWanted(leaseId))) {
      const { state, exitCode, reason } = outcome;
      return {
        leaseId,
        state,
        ...(exitCode === null ? {} : { exitCode }),
        ...(reason === null ? {} : { reason: reason.slice(0, 1_000) }),
      };
    }
    if (seen === undefined && (entry === undefined || !this.#isWanted(leaseId)) && !this.#tasks.has(leaseId)) {
      return null;
    }
    return { leaseId, state: entry?.ready ? "ready" : "starting" };
  }
}
