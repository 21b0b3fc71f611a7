import { existsSync, readdirSync } from "node:fs";
import type Docker from "dockerode";
import type { DetectedGpu } from "../inventory/gpu.ts";
import { startupCommand } from "./startup-command.ts";
import { rendezvousByName, workloadEnvironment } from "./workload-environment.ts";
import { WorkloadError, type WorkloadSpec } from "./workload-runtime.ts";

/** Labels by which this node's containers and networks are found again, whatever has been forgotten. */
export const labels = {
  node: "volley.node",
  lease: "volley.lease",
  cluster: "volley.cluster",
  rank: "volley.rank",
} as const;

/** A pure function of the lease, so that a start which crashed half-way is found and never doubled. */
export function containerName(leaseId: string): string {
  return `volley-${leaseId}`;
}

/** Ranks of one cluster on one engine share this network, and nothing else is on it. */
export function networkName(clusterId: string): string {
  return `volley-${clusterId}`;
}

export interface ContainerContext {
  readonly nodeId: string;
  readonly image: string;
  readonly flavor: "docker" | "podman";
}

/** The limits under which one rank runs: all of them hold from the first instruction on. */
export function containerOptions(spec: WorkloadSpec, context: ContainerContext): Docker.ContainerCreateOptions {
  const network = networkName(spec.clusterId);
  const memoryBytes = spec.memoryMib * 1024 ** 2;
  const environment = {
    ...workloadEnvironment(spec, rendezvousByName(spec)),
    ...gpuEnvironment(spec.gpus),
  };
  return {
    name: containerName(spec.leaseId),
    Image: context.image,
    Hostname: spec.hostname,
    Entrypoint: [],
    Cmd: [...startupCommand(spec.startupScript, "/tmp")],
    Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    Labels: {
      [labels.node]: context.nodeId,
      [labels.lease]: spec.leaseId,
      [labels.cluster]: spec.clusterId,
      [labels.rank]: String(spec.rank),
    },
    ExposedPorts: Object.fromEntries(spec.ports.map((port) => [`${port.containerPort}/tcp`, {}])),
    HostConfig: {
      Init: true,
      NetworkMode: network,
      NanoCpus: Math.round(spec.cpus * 1e9),
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      // Data loaders of training frameworks pass batches through /dev/shm, which counts as the workload's memory.
      ShmSize: Math.floor(memoryBytes / 2),
      PidsLimit: spec.pidsLimit,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Privileged: false,
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "json-file", Config: { "max-size": "16m" } },
      ExtraHosts: spec.peers.flatMap((peer) => (peer.address === null ? [] : [`${peer.hostname}:${peer.address}`])),
      PortBindings: Object.fromEntries(
        spec.ports.map((port) => [`${port.containerPort}/tcp`, [{ HostPort: String(port.hostPort) }]]),
      ),
      ...gpuDevices(spec.gpus, context.flavor),
    },
    NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [spec.hostname] } } },
  };
}

function gpuEnvironment(gpus: readonly DetectedGpu[]): Record<string, string> {
  const nvidia = gpus.filter((gpu) => gpu.vendor === "nvidia");
  if (nvidia.length > 0) {
    return {
      NVIDIA_VISIBLE_DEVICES: nvidia.map(nvidiaDeviceId).join(","),
      NVIDIA_DRIVER_CAPABILITIES: "compute,utility",
    };
  }
  // Images made for GPUs ask for all of them in their own environment; without this a CPU lease could see them.
  return { NVIDIA_VISIBLE_DEVICES: "void" };
}

function gpuDevices(gpus: readonly DetectedGpu[], flavor: "docker" | "podman"): Docker.HostConfig {
  if (gpus.some((gpu) => gpu.vendor === "apple")) {
    throw new WorkloadError(
      "invalid_spec",
      "Containers cannot use an Apple GPU; this node must run without an engine.",
    );
  }
  const nvidia = gpus.filter((gpu) => gpu.vendor === "nvidia");
  const amd = gpus.filter((gpu) => gpu.vendor === "amd");
  return {
    ...(nvidia.length > 0 && {
      DeviceRequests: [
        flavor === "docker"
          ? { Driver: "nvidia", DeviceIDs: nvidia.map(nvidiaDeviceId), Capabilities: [["gpu"]] }
          : { Driver: "cdi", DeviceIDs: nvidia.map((gpu) => `nvidia.com/gpu=${gpu.index}`) },
      ],
    }),
    ...(amd.length > 0 && {
      Devices: ["/dev/kfd", ...amd.flatMap(amdRenderNodes)].map((path) => ({
        PathOnHost: path,
        PathInContainer: path,
        CgroupPermissions: "rw",
      })),
    }),
  };
}

function nvidiaDeviceId(gpu: DetectedGpu): string {
  return gpu.uuid ?? String(gpu.index);
}

/** The device files of one AMD GPU, found by its PCI address so that no other lease's GPU is handed out. */
function amdRenderNodes(gpu: DetectedGpu): readonly string[] {
  const directory = `/sys/bus/pci/devices/${gpu.pciAddress}/drm`;
  if (gpu.pciAddress === null || !existsSync(directory)) {
    throw new WorkloadError("start_failed", `The device files of GPU ${gpu.index} (${gpu.name}) cannot be found.`);
  }
  return readdirSync(directory)
    .filter((name) => /^(card|renderD)\d+$/.test(name))
    .map((name) => `/dev/dri/${name}`);
}
