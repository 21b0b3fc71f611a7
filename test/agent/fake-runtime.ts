import {
  type ExecEvent,
  type ExecRequest,
  type LogChunk,
  type ObservedWorkload,
  type StopOptions,
  WorkloadError,
  type WorkloadRuntime,
  type WorkloadSpec,
} from "../../agent/runtime/workload-runtime.ts";

interface FakeWorkload {
  readonly spec: WorkloadSpec;
  state: ObservedWorkload["state"];
  exitCode: number | null;
  readonly log: string[];
}

/** A machine in memory. It outlives the agents that use it, as a real one does. */
export class FakeRuntime implements WorkloadRuntime {
  readonly kind = "container";
  readonly description = "a machine in memory";
  readonly workloads = new Map<string, FakeWorkload>();
  readonly starts: string[] = [];
  readonly stops: string[] = [];
  readonly killedExecs: string[] = [];
  readonly begunExecs: string[] = [];
  /** Workloads that really began. */
  readonly created: string[] = [];
  /** Thrown by the next starts, one each. */
  startFailures: Error[] = [];
  /** So many stops fail. */
  stopFailures = 0;
  /** The engine does not answer. */
  broken = false;
  /** Starts take until this resolves, as when an image is fetched. */
  startGate: Promise<void> = Promise.resolve();
  /** Stops take until this resolves. */
  stopGate: Promise<void> = Promise.resolve();
  /** A list that was taken is handed over only when this resolves: it may be out of date by then. */
  listGate: Promise<void> = Promise.resolve();
  /** Sweeps take until this resolves. */
  sweepGate: Promise<void> = Promise.resolve();
  /** Logs end although their workloads go on, as when the engine is restarted. */
  cutsLogs = false;
  /** What probes say, by their exit code. */
  probeExitCode = 0;
  /** What commands do; by default they echo their last argument. */
  onExec: (request: ExecRequest) => AsyncIterable<ExecEvent> = async function* (request) {
    yield { stream: "stdout", data: Buffer.from(`${request.command.at(-1)}\n`) };
    yield { exitCode: 0 };
  };

  async start(spec: WorkloadSpec, signal?: AbortSignal): Promise<void> {
    this.#require();
    this.starts.push(spec.leaseId);
    const failure = this.startFailures.shift();
    if (failure !== undefined) {
      throw failure;
    }
    await this.startGate;
    signal?.throwIfAborted();
    if (!this.workloads.has(spec.leaseId)) {
      this.created.push(spec.leaseId);
      this.workloads.set(spec.leaseId, { spec, state: "running", exitCode: null, log: [] });
    }
  }

  async list(): Promise<readonly ObservedWorkload[]> {
    this.#require();
    const list = [...this.workloads.values()].map(({ spec, state, exitCode }) => ({
      leaseId: spec.leaseId,
      clusterId: spec.clusterId,
      rank: spec.rank,
      state,
      exitCode,
    }));
    await this.listGate;
    return list;
  }

  async *exec(leaseId: string, request: ExecRequest): AsyncGenerator<ExecEvent> {
    this.#require();
    if (this.workloads.get(leaseId)?.state !== "running") {
      throw new WorkloadError("not_running", "The workload is not running.");
    }
    if (request.execId.includes("-probe-")) {
      yield { exitCode: this.probeExitCode };
      return;
    }
    this.begunExecs.push(request.execId);
    yield* this.onExec(request);
  }

  async killExec(_leaseId: string, execId: string): Promise<void> {
    this.killedExecs.push(execId);
  }

  async *logs(leaseId: string, cursor: string | null, signal: AbortSignal): AsyncGenerator<LogChunk> {
    let next = Number(cursor ?? "0");
    for (;;) {
      const workload = this.workloads.get(leaseId);
      if (workload === undefined || signal.aborted || this.cutsLogs) {
        return;
      }
      const line = workload.log[next];
      if (line !== undefined) {
        next += 1;
        yield { stream: "stdout", data: Buffer.from(line), cursor: String(next) };
      } else if (workload.state === "exited") {
        return;
      } else {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  async stop(leaseId: string, options: StopOptions): Promise<void> {
    this.#require();
    this.stops.push(leaseId);
    if (this.stopFailures > 0) {
      this.stopFailures -= 1;
      throw new WorkloadError("stop_failed", "The workload would not go.");
    }
    await this.stopGate;
    const workload = this.workloads.get(leaseId);
    if (workload !== undefined) {
      workload.state = "exited";
    }
    await options.beforeRemoval?.();
    this.workloads.delete(leaseId);
  }

  async sweep(): Promise<void> {
    this.#require();
    await this.sweepGate;
  }

  #require(): void {
    if (this.broken) {
      throw new Error("the engine does not answer");
    }
  }
}
