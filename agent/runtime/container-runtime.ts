import type Docker from "dockerode";
import type { EnsureImage } from "./base-image.ts";
import type { ClusterFirewall } from "./cluster-firewall.ts";
import { ensureClusterNetwork, type NetworkPlace, removeUnusedNetworks, separateClusters } from "./cluster-network.ts";
import { execInContainer, killExec } from "./container-exec.ts";
import { readContainerLogs } from "./container-logs.ts";
import { containerName, containerOptions, labels } from "./container-options.ts";
import { type EngineConnection, engineMessage, engineStatus } from "./engine-connection.ts";
import { type EngineContainer, listContainers } from "./engine-contents.ts";
import { SerialQueue } from "./serial-queue.ts";
import { validateSpec } from "./validate-spec.ts";
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

export interface ContainerRuntimeOptions {
  readonly engine: EngineConnection;
  /** This node's id: it labels, and so limits, what this runtime sees and removes. */
  readonly nodeId: string;
  /** Null where the engine alone keeps clusters apart. */
  readonly firewall: ClusterFirewall | null;
  readonly ensureImage: EnsureImage;
}

const goneTimeoutMs = 30_000;
const pollMs = 50;

/** Runs each workload as one container of a Docker-compatible engine. */
export class ContainerRuntime implements WorkloadRuntime {
  readonly kind = "container";
  readonly description: string;
  readonly #docker: Docker;
  readonly #streams: Docker;
  readonly #options: ContainerRuntimeOptions;
  readonly #place: NetworkPlace;
  /** Making a container and sweeping networks must not cross: a network without containers looks unused. */
  readonly #networkQueue = new SerialQueue();

  constructor(options: ContainerRuntimeOptions) {
    this.#options = options;
    this.#docker = options.engine.docker;
    this.#place = { engine: options.engine, nodeId: options.nodeId, firewall: options.firewall };
    this.#streams = options.engine.streams;
    this.description = `containers of ${options.engine.description}`;
  }

  async start(spec: WorkloadSpec, signal?: AbortSignal): Promise<void> {
    validateSpec(spec);
    const name = containerName(spec.leaseId);
    const before = await this.#find(spec.leaseId);
    if (before !== null && toState(before.state) !== "starting") {
      return;
    }
    if (before === null) {
      const image = await this.#options.ensureImage(spec.image, signal);
      signal?.throwIfAborted();
      await this.#networkQueue.run(() => this.#create(spec, image));
    }
    try {
      await this.#docker.getContainer(name).start();
    } catch (error) {
      if (engineStatus(error) !== 304) {
        await this.stop(spec.leaseId, { graceMs: 0 });
        throw new WorkloadError("start_failed", `The container did not start: ${engineMessage(error)}`, {
          cause: error,
        });
      }
    }
  }

  async list(): Promise<readonly ObservedWorkload[]> {
    const observed: ObservedWorkload[] = [];
    for (const container of await this.#workloads({ [labels.node]: this.#options.nodeId })) {
      const { [labels.lease]: leaseId, [labels.cluster]: clusterId, [labels.rank]: rank } = container.labels;
      if (leaseId !== undefined && clusterId !== undefined) {
        const state = toState(container.state);
        const exitCode = state === "exited" ? container.exitCode : null;
        observed.push({ leaseId, clusterId, rank: Number(rank), state, exitCode });
      }
    }
    return observed;
  }

  exec(leaseId: string, request: ExecRequest): AsyncIterable<ExecEvent> {
    return execInContainer(this.#options.engine, containerName(leaseId), request);
  }

  async killExec(leaseId: string, execId: string): Promise<void> {
    const container = await this.#find(leaseId);
    if (container !== null && toState(container.state) === "running") {
      await killExec(this.#docker, containerName(leaseId), execId);
    }
  }

  logs(leaseId: string, cursor: string | null, signal: AbortSignal): AsyncIterable<LogChunk> {
    return readContainerLogs(this.#streams, containerName(leaseId), cursor, signal);
  }

  async stop(leaseId: string, options: StopOptions): Promise<void> {
    const container = this.#docker.getContainer(containerName(leaseId));
    const stopped = await ignoreStatus([304, 404], () =>
      container.stop({ t: Math.ceil(options.graceMs / 1000) }),
    ).catch((error: unknown) => error);
    await options.beforeRemoval?.();
    // Removing by force ends what could not be stopped.
    await ignoreStatus([404, 409], () => container.remove({ force: true, v: true })).catch((error: unknown) => {
      const problems = [stopped, error].filter((problem) => problem !== undefined).map(engineMessage);
      throw new WorkloadError("stop_failed", `The container cannot be removed: ${problems.join("; ")}`, {
        cause: error,
      });
    });
    await this.#observeAbsence(leaseId);
    await this.#networkQueue.run(() => removeUnusedNetworks(this.#place));
  }

  async sweep(): Promise<void> {
    const tasks = [separateClusters, removeUnusedNetworks];
    await Promise.all(tasks.map((task) => this.#networkQueue.run(() => task(this.#place))));
  }

  async #create(spec: WorkloadSpec, image: string): Promise<void> {
    const { nodeId, engine } = this.#options;
    await ensureClusterNetwork(this.#place, spec.clusterId);
    try {
      await this.#docker.createContainer(containerOptions(spec, { nodeId, image, flavor: engine.flavor }));
    } catch (error) {
      if (error instanceof WorkloadError) {
        throw error;
      }
      // An earlier, interrupted start may have made it: then the name is taken by the container that we want.
      if ((await this.#find(spec.leaseId)) === null) {
        await removeUnusedNetworks(this.#place);
        throw new WorkloadError("start_failed", `The container cannot be made: ${engineMessage(error)}`, {
          cause: error,
        });
      }
    }
  }

  async #observeAbsence(leaseId: string): Promise<void> {
    const deadlineMs = performance.now() + goneTimeoutMs;
    while ((await this.#find(leaseId)) !== null) {
      if (performance.now() > deadlineMs) {
        throw new WorkloadError("stop_failed", "The container is still there after it was removed.");
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  async #find(leaseId: string): Promise<EngineContainer | null> {
    const [container] = await this.#workloads({ [labels.lease]: leaseId });
    return container ?? null;
  }

  /** A container that somebody made from a workload's image has its labels, too, but not the name that they lead to. */
  async #workloads(having: Readonly<Record<string, string>>): Promise<readonly EngineContainer[]> {
    const found = await listContainers(this.#options.engine, having);
    return found.filter((container) => container.name === containerName(container.labels[labels.lease] ?? ""));
  }
}

function toState(state: string): ObservedWorkload["state"] {
  switch (state) {
    case "created":
    case "configured":
    case "initialized":
      return "starting";
    case "running":
    case "paused":
    case "stopping":
      return "running";
    default:
      return "exited";
  }
}

async function ignoreStatus(statuses: readonly number[], call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    const status = engineStatus(error);
    if (status === null || !statuses.includes(status)) {
      throw error;
    }
  }
}
