import type { LeaseAssignment } from "@volley/sdk";
import type { Inventory } from "../inventory/detect-inventory.ts";
import { WorkloadError, type WorkloadSpec } from "../runtime/workload-runtime.ts";

/** What of this machine matters to a workload. */
export interface Machine {
  readonly inventory: Pick<Inventory, "gpus" | "count">;
  /** Where ranks on other machines reach this one; peers with this address are on this machine. */
  readonly advertiseAddress: string | null;
}

/**
 * An assignment in the runtime's terms: slots become this machine's GPUs.
 * @throws WorkloadError `invalid_spec` when it names a slot that this machine does not have.
 */
export function toWorkload(assignment: LeaseAssignment, machine: Machine): WorkloadSpec {
  const { inventory, advertiseAddress } = machine;
  const missing = assignment.slots.find((slot) => slot < 0 || slot >= inventory.count);
  if (missing !== undefined) {
    throw new WorkloadError(
      "invalid_spec",
      `This machine has ${inventory.count} slots, and none with number ${missing}.`,
    );
  }
  const peers = assignment.peers
    .filter((peer) => peer.rank !== assignment.rank)
    .map(({ rank, hostname, address }) => ({ rank, hostname, address: address === advertiseAddress ? null : address }));
  const crossesMachines = peers.some((peer) => peer.address !== null);
  const { masterPort } = assignment;
  return {
    leaseId: assignment.leaseId,
    clusterId: assignment.clusterId,
    rank: assignment.rank,
    worldSize: assignment.worldSize,
    image: assignment.image,
    startupScript: assignment.startupScript,
    env: assignment.env,
    hostname: assignment.hostname,
    peers,
    masterAddress: assignment.masterAddress,
    masterPort,
    gpus: assignment.slots.flatMap((slot) => inventory.gpus[slot] ?? []),
    cpus: assignment.cpuCores,
    memoryMib: assignment.memoryMib,
    pidsLimit: assignment.pids,
    // Ranks on other machines meet at rank 0's master port.
    ports: crossesMachines && assignment.rank === 0 ? [{ containerPort: masterPort, hostPort: masterPort }] : [],
  };
}
