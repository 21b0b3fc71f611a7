import type { LeaseAssignment } from "@volley/sdk";
import type { DetectedGpu } from "../inventory/gpu.ts";
import type { Slot } from "../inventory/slots.ts";
import { WorkloadError, type WorkloadSpec } from "../runtime/workload-runtime.ts";

/** What of this machine matters to a workload. */
export interface Machine {
  readonly slots: readonly Slot[];
  /** Where ranks on other machines reach this one; peers with this address are on this machine. */
  readonly advertiseAddress: string | null;
}

/**
 * An assignment in the runtime's terms: slots become this machine's GPUs.
 * @throws WorkloadError `invalid_spec` when it names a slot that this machine does not have, `start_failed` when the
 * slot's GPU is gone.
 */
export function toWorkload(assignment: LeaseAssignment, machine: Machine): WorkloadSpec {
  const { slots, advertiseAddress } = machine;
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
    gpus: assignment.slots.flatMap((number) => gpuOf(number, slots)),
    cpus: assignment.cpuCores,
    memoryMib: assignment.memoryMib,
    pidsLimit: assignment.pids,
    // Ranks on other machines meet at rank 0's master port.
    ports: crossesMachines && assignment.rank === 0 ? [{ containerPort: masterPort, hostPort: masterPort }] : [],
  };
}

function gpuOf(number: number, slots: readonly Slot[]): readonly DetectedGpu[] {
  const slot = slots[number];
  if (slot === undefined) {
    throw new WorkloadError("invalid_spec", `This machine has ${slots.length} slots, and none with number ${number}.`);
  }
  if (slot === "missing") {
    throw new WorkloadError("start_failed", `The GPU of slot ${number} is not found on this machine any more.`);
  }
  return slot === "share" ? [] : [slot];
}
