import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DetectedGpu } from "../inventory/gpu.ts";
import type { Environment } from "./engine-connection.ts";
import { findMarkedProcesses, sendSignal, signalMarkedProcesses } from "./marked-processes.ts";
import { readJournal } from "./output-journal.ts";
import { execAsProcess, execMarker } from "./process-exec.ts";
import { readExit, readSpec, readSupervisor, workloadFiles, writeSpec } from "./process-files.ts";
import { isAlive } from "./process-identity.ts";
import { SerialQueue } from "./serial-queue.ts";
import { startupCommand } from "./startup-command.ts";
import { validateSpec } from "./validate-spec.ts";
import { type Rendezvous, workloadEnvironment } from "./workload-environment.ts";
import {
  type ExecEvent,
  type ExecRequest,
  type LogChunk,
  type ObservedWorkload,
  type StopOptions,
  WorkloadError,
  type WorkloadRuntime,
  type WorkloadSpec,
} from "./workload-runtime.ts";

export interface ProcessRuntimeOptions {
  /** Each workload gets a directory of its own in it. */
  readonly directory: string;
  /** Only PATH and the locale of it reach the workloads. */
  readonly environment: Environment;
}

const supervisorPath = fileURLToPath(new URL("./process-supervisor.ts", import.meta.url));
/** Whatever else lies in the directory is not ours. */
const idPattern = /^[a-z0-9][a-z0-9_-]*$/i;
const leaseMarker = "VOLLEY_LEASE_ID";
const startTimeoutMs = 20_000;
const killTimeoutMs = 10_000;
const pollMs = 50;
const followMs = 150;

/**
 * Runs each workload as a process group of this machine: for trying out only. There is no isolation, and the limits
 * of CPU and memory are not enforced; all ranks on the machine reach each other on loopback.
 */
export class ProcessRuntime implements WorkloadRuntime {
  readonly kind = "process";
  readonly description = "plain processes of this machine, without isolation";
  readonly #options: ProcessRuntimeOptions;
  /** Making a directory and sweeping must not cross: one whose description is being written looks left over. */
  readonly #directoryQueue = new SerialQueue();

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options;
  }

  async start(spec: WorkloadSpec, signal?: AbortSignal): Promise<void> {
    validateSpec(spec);
    signal?.throwIfAborted();
    const directory = this.#directoryOf(spec.leaseId);
    if ((await readSpec(directory)) === null) {
      const { work, temporary } = workloadFiles(directory);
      const description = {
        leaseId: spec.leaseId,
        clusterId: spec.clusterId,
        rank: spec.rank,
        command: startupCommand(spec.startupScript, temporary),
        env: {
          ...cleanEnvironment(this.#options.environment),
          HOME: work,
          TMPDIR: temporary,
          ...gpuEnvironment(spec.gpus),
          ...workloadEnvironment(spec, rendezvousOnLoopback(spec)),
        },
      };
      await this.#directoryQueue.run(() => writeSpec(directory, description));
    }
    if ((await readSupervisor(directory)) === null) {
      await superviseIn(directory);
    }
  }

  async list(): Promise<readonly ObservedWorkload[]> {
    const observed = await Promise.all((await this.#leaseIds()).map((leaseId) => this.#observe(leaseId)));
    return observed.filter((workload) => workload !== null);
  }

  async *exec(leaseId: string, request: ExecRequest): AsyncGenerator<ExecEvent> {
    const directory = this.#directoryOf(leaseId);
    const spec = await readSpec(directory);
    if (spec === null || (await this.#observe(leaseId))?.state !== "running") {
      throw new WorkloadError("not_running", "The workload is not running, so no command can be run in it.");
    }
    request.signal.throwIfAborted();
    yield* execAsProcess(directory, spec, request);
  }

  async killExec(_leaseId: string, execId: string): Promise<void> {
    await signalMarkedProcesses(execMarker, execId, "SIGKILL");
  }

  async *logs(leaseId: string, cursor: string | null, signal: AbortSignal): AsyncGenerator<LogChunk> {
    const directory = this.#directoryOf(leaseId);
    let position = cursor;
    while (!signal.aborted && existsSync(directory)) {
      const ended = (await this.#observe(leaseId))?.state === "exited";
      for await (const chunk of readJournal(directory, position)) {
        if (signal.aborted) {
          return;
        }
        position = chunk.cursor;
        yield chunk;
      }
      if (ended) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, followMs));
    }
  }

  async stop(leaseId: string, options: StopOptions): Promise<void> {
    const directory = this.#directoryOf(leaseId);
    if (!existsSync(directory)) {
      return;
    }
    await this.#signal(leaseId, "SIGTERM");
    await this.#waitUntilGone(leaseId, options.graceMs);
    const deadlineMs = performance.now() + killTimeoutMs;
    while (await this.#signal(leaseId, "SIGKILL")) {
      if (performance.now() > deadlineMs) {
        throw new WorkloadError("stop_failed", "Processes of the workload are still there after they were killed.");
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
    await options.beforeRemoval?.();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }

  async sweep(): Promise<void> {
    await this.#directoryQueue.run(async () => {
      for (const leaseId of await this.#leaseIds()) {
        // Without its description a directory is what an interrupted start or stop has left.
        if ((await readSpec(this.#directoryOf(leaseId))) === null) {
          await this.stop(leaseId, { graceMs: 0 });
        }
      }
    });
  }

  async #observe(leaseId: string): Promise<ObservedWorkload | null> {
    const directory = this.#directoryOf(leaseId);
    const spec = await readSpec(directory);
    if (spec === null) {
      return null;
    }
    const { clusterId, rank } = spec;
    const supervisor = await readSupervisor(directory);
    if (supervisor === null) {
      return { leaseId, clusterId, rank, state: "starting", exitCode: null };
    }
    const alive = await isAlive(supervisor);
    const exitCode = await readExit(directory);
    const state = alive && exitCode === null ? "running" : "exited";
    return { leaseId, clusterId, rank, state, exitCode };
  }

  /** Signals everything that belongs to the workload; false when nothing does any more. */
  async #signal(leaseId: string, signal: NodeJS.Signals): Promise<boolean> {
    const supervisor = await readSupervisor(this.#directoryOf(leaseId));
    const supervisorAlive = supervisor !== null && (await isAlive(supervisor));
    const group = supervisorAlive && sendSignal(-supervisor.pid, signal);
    const marked = await signalMarkedProcesses(leaseMarker, leaseId, signal);
    return group || marked > 0;
  }

  async #waitUntilGone(leaseId: string, timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const supervisor = await readSupervisor(this.#directoryOf(leaseId));
    while (performance.now() < deadlineMs) {
      const supervisorAlive = supervisor !== null && (await isAlive(supervisor));
      if (!supervisorAlive && (await findMarkedProcesses(leaseMarker, leaseId)).length === 0) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  async #leaseIds(): Promise<readonly string[]> {
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
    const entries = await readdir(this.#options.directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && idPattern.test(entry.name)).map((entry) => entry.name);
  }

  #directoryOf(leaseId: string): string {
    if (!idPattern.test(leaseId)) {
      throw new WorkloadError("invalid_spec", "The lease id has characters that an id cannot have.");
    }
    return join(this.#options.directory, leaseId);
  }
}

/** @throws WorkloadError `start_failed` when the supervisor does not come up. */
async function superviseIn(directory: string): Promise<void> {
  const env = (await readSpec(directory))?.env;
  const supervisor = spawn(process.execPath, [supervisorPath, directory], {
    cwd: workloadFiles(directory).work,
    env,
    stdio: "ignore",
    detached: true,
  });
  let failure: string | null = null;
  supervisor.once("error", (error) => {
    failure = error.message;
  });
  supervisor.once("exit", (code) => {
    failure = `its supervisor ended with exit code ${code}`;
  });
  supervisor.unref();
  const deadlineMs = performance.now() + startTimeoutMs;
  while ((await readSupervisor(directory)) === null) {
    if (failure !== null || performance.now() > deadlineMs) {
      throw new WorkloadError("start_failed", `The process did not start: ${failure ?? "it took too long"}.`);
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** What a workload may know of the host: where programs are, and the language. */
function cleanEnvironment(environment: Environment): Record<string, string> {
  // Scripts may count on `node`, as they can in the default image.
  const path = `${dirname(process.execPath)}:${environment.PATH ?? "/usr/local/bin:/usr/bin:/bin"}`;
  return { PATH: path, LANG: environment.LANG ?? "C.UTF-8" };
}

/**
 * All ranks on a machine share its ports, so two clusters must not get the same one: the master port is derived from
 * the cluster, which every rank can do alone.
 */
function rendezvousOnLoopback(spec: WorkloadSpec): Rendezvous {
  const hash = createHash("sha256").update(spec.clusterId).digest().readUInt32BE(0);
  const addresses = new Map(spec.peers.map((peer) => [peer.rank, peer.address ?? "127.0.0.1"]));
  addresses.set(spec.rank, "127.0.0.1");
  const ranks = [...addresses.keys()].sort((left, right) => left - right);
  return {
    hostname: "localhost",
    peerHostnames: ranks.map((rank) => addresses.get(rank) ?? "127.0.0.1"),
    masterAddress: addresses.get(0) ?? "127.0.0.1",
    masterPort: 20_000 + (hash % 10_000),
  };
}

function gpuEnvironment(gpus: readonly DetectedGpu[]): Record<string, string> {
  const indexes = (vendor: DetectedGpu["vendor"]) =>
    gpus
      .filter((gpu) => gpu.vendor === vendor)
      .map((gpu) => gpu.index)
      .join(",");
  return { CUDA_VISIBLE_DEVICES: indexes("nvidia"), ROCR_VISIBLE_DEVICES: indexes("amd") };
}
