import { join } from "node:path";
import type { RunCommand } from "../inventory/run-command.ts";
import { newEnsureImage } from "./base-image.ts";
import { ClusterFirewall } from "./cluster-firewall.ts";
import { ContainerRuntime } from "./container-runtime.ts";
import {
  connectEngine,
  type EngineConnection,
  type Environment,
  engineAddresses,
  engineMessage,
} from "./engine-connection.ts";
import { type PodmanService, startPodmanService } from "./podman-service.ts";
import { ProcessRuntime } from "./process-runtime.ts";
import { WorkloadError, type WorkloadRuntime } from "./workload-runtime.ts";

export interface DetectedRuntime {
  readonly kind: WorkloadRuntime["kind"];
  /** The runtime of one node; it sees that node's workloads only. */
  open(nodeId: string): WorkloadRuntime;
  /** Sentences for the person who runs this machine, such as why there are no containers. */
  readonly warnings: readonly string[];
  /** Ends what was started for the runtime's own sake, not the workloads. */
  close(): Promise<void>;
}

export interface DetectRuntimeOptions {
  /** Tells the trials of several agents on one engine apart; of characters that an id may have. */
  readonly agentName: string;
  readonly dataDirectory: string;
  readonly environment: Environment;
  readonly runCommand: RunCommand;
  /**
   * `container` and `process` insist; `auto` takes containers where they work. A machine that has joined as one kind
   * must insist on it: renters were promised that isolation.
   */
  readonly want: "auto" | "container" | "process";
  readonly log: (sentence: string) => void;
}

const processWarning =
  "Workloads run as plain processes of this machine, without isolation or limits. This is for trying out only: " +
  "install Docker or Podman before strangers use this machine.";

/**
 * Finds how workloads can run here: in containers if an engine answers and proves itself with a trial container,
 * otherwise as processes.
 * @throws WorkloadError `runtime_unavailable` when containers are insisted on and no engine works.
 */
export async function detectRuntime(options: DetectRuntimeOptions): Promise<DetectedRuntime> {
  const problems: string[] = [];
  if (options.want !== "process") {
    const found = await findContainerRuntime(options, problems);
    if (found !== null) {
      return found;
    }
    if (options.want === "container") {
      throw new WorkloadError(
        "runtime_unavailable",
        problems.join(" ") || "No container engine answers: start Docker or Podman, or set DOCKER_HOST.",
      );
    }
  }
  const directory = join(options.dataDirectory, "workloads");
  return {
    kind: "process",
    open: () => new ProcessRuntime({ directory, environment: options.environment }),
    warnings: [...problems, processWarning],
    close: async () => undefined,
  };
}

async function findContainerRuntime(
  options: DetectRuntimeOptions,
  problems: string[],
): Promise<DetectedRuntime | null> {
  for (const address of engineAddresses(options.environment)) {
    const engine = await connectEngine(address);
    if (engine !== null) {
      const open = await tryEngine(engine, options, problems);
      if (open !== null) {
        return { kind: "container", open, warnings: [], close: async () => undefined };
      }
    }
  }
  const service = await startOwnService(options);
  if (service === null) {
    return null;
  }
  const open = await tryEngine(service.engine, options, problems);
  if (open === null) {
    await service.stop();
    return null;
  }
  return { kind: "container", open, warnings: [], close: () => service.stop() };
}

function startOwnService(options: DetectRuntimeOptions): Promise<PodmanService | null> {
  const { dataDirectory, environment, runCommand } = options;
  return environment.DOCKER_HOST
    ? Promise.resolve(null)
    : startPodmanService({ directory: join(dataDirectory, "engine"), environment, runCommand });
}

/** An engine that answers may still be unable to run what we need; one small workload tells. */
async function tryEngine(
  engine: EngineConnection,
  options: DetectRuntimeOptions,
  problems: string[],
): Promise<DetectedRuntime["open"] | null> {
  const ensureImage = newEnsureImage(engine, options.log);
  const leaseId = `${options.agentName}-trial`;
  const firewall = newFirewall(engine, options.runCommand);
  const trial = new ContainerRuntime({ engine, ensureImage, firewall, nodeId: leaseId });
  try {
    await trial.stop(leaseId, { graceMs: 0 });
    await trial.start(trialWorkload(leaseId));
    await trial.stop(leaseId, { graceMs: 0 });
    return (nodeId) => new ContainerRuntime({ engine, ensureImage, firewall, nodeId });
  } catch (error) {
    problems.push(`${engine.description} answers, but cannot run a container: ${engineMessage(error)}`);
    return null;
  }
}

/** Rules are set in this host's tables, so only for an engine that works there: a local one that runs as root. */
export function newFirewall(engine: EngineConnection, runCommand: RunCommand): ClusterFirewall | null {
  const ours = engine.flavor === "podman" && engine.isLocal && process.getuid?.() === 0;
  return ours ? new ClusterFirewall(runCommand) : null;
}

function trialWorkload(leaseId: string) {
  return {
    leaseId,
    clusterId: leaseId,
    rank: 0,
    worldSize: 1,
    image: null,
    startupScript: null,
    env: {},
    hostname: "trial",
    peers: [],
    masterAddress: "trial",
    masterPort: 29_500,
    gpus: [],
    cpus: 0.1,
    memoryMib: 64,
    pidsLimit: 16,
    ports: [],
  };
}
