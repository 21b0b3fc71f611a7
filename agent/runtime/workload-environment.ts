import type { WorkloadSpec } from "./workload-runtime.ts";

/** How a workload finds its peers; the process runtime replaces names by loopback. */
export interface Rendezvous {
  readonly hostname: string;
  readonly peerHostnames: readonly string[];
  readonly masterAddress: string;
  readonly masterPort: number;
}

/** The names under which the container runtime's ranks reach each other. */
export function rendezvousByName(spec: WorkloadSpec): Rendezvous {
  const hostnames = [{ rank: spec.rank, hostname: spec.hostname }, ...spec.peers]
    .sort((left, right) => left.rank - right.rank)
    .map((peer) => peer.hostname);
  return {
    hostname: spec.hostname,
    peerHostnames: [...new Set(hostnames)],
    masterAddress: spec.masterAddress,
    masterPort: spec.masterPort,
  };
}

/**
 * The variables of a workload's main process: the renter's own, then ours, which win. `MASTER_ADDR` and `MASTER_PORT`
 * are the names that torch.distributed's `env://` rendezvous reads.
 */
export function workloadEnvironment(spec: WorkloadSpec, rendezvous: Rendezvous): Record<string, string> {
  return {
    ...spec.env,
    VOLLEY_CLUSTER_ID: spec.clusterId,
    VOLLEY_LEASE_ID: spec.leaseId,
    VOLLEY_RANK: String(spec.rank),
    VOLLEY_WORLD_SIZE: String(spec.worldSize),
    VOLLEY_HOSTNAME: rendezvous.hostname,
    VOLLEY_HOSTNAMES: rendezvous.peerHostnames.join(","),
    MASTER_ADDR: rendezvous.masterAddress,
    MASTER_PORT: String(rendezvous.masterPort),
  };
}
