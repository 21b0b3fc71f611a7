import { requireKind } from "./control/call-api.ts";
import type { Inventory } from "./inventory/detect-inventory.ts";
import { nameSlots } from "./inventory/slots.ts";
import type { ControlPlane } from "./ports.ts";
import type { WorkloadRuntime } from "./runtime/workload-runtime.ts";
import { type Membership, type NodeKey, saveMembership } from "./state/identity.ts";

/** Where a machine stands. */
export interface Site {
  /** ISO 3166-1 alpha-2, such as `DE`. */
  readonly country: string;
  readonly region: string;
  readonly latitude: number;
  readonly longitude: number;
}

const callTimeoutMs = 30_000;

/**
 * Joins the network with the single-use token, and remembers the place.
 * @throws Error when the token, price or site is missing, or the API refuses.
 */
export async function enrol(options: {
  readonly api: ControlPlane;
  readonly dataDirectory: string;
  readonly enrolmentToken: string | null;
  readonly pricePerGpuHour: string | null;
  readonly site: Site | null;
  readonly advertiseAddress: string | null;
  readonly key: NodeKey;
  readonly inventory: Inventory;
  readonly runtime: WorkloadRuntime["kind"];
}): Promise<Membership> {
  const { enrolmentToken, pricePerGpuHour, site, advertiseAddress, runtime } = options;
  if (enrolmentToken === null || pricePerGpuHour === null || site === null) {
    throw new Error("A machine that joins needs an enrolment token, a price per GPU-hour, and a site.");
  }
  const joined = await options.api.enrol(
    {
      enrolmentToken,
      publicKey: options.key.publicKey,
      inventory: toInventory(options.inventory),
      pricePerGpuHour,
      ...site,
      isolation: runtime,
      ...(advertiseAddress === null ? {} : { advertiseAddress }),
    },
    { timeoutMs: callTimeoutMs },
  );
  const node = requireKind(joined, "node");
  const membership = { nodeId: node.id, runtime, slots: nameSlots(options.inventory) };
  saveMembership(options.dataDirectory, membership);
  return membership;
}

function toInventory(inventory: Inventory) {
  const gpuUuids = inventory.gpus.flatMap((gpu) => (gpu.uuid === null ? [] : [gpu.uuid]));
  const driverVersion = inventory.gpus[0]?.driverVersion ?? null;
  return {
    gpu: inventory.model,
    gpus: inventory.count,
    cpuModel: inventory.cpuModel.slice(0, 200),
    cpuCores: inventory.cpuCores,
    memoryGib: Math.max(Math.floor(inventory.memoryMib / 1024), 1),
    diskGib: Math.max(inventory.diskGib, 1),
    os: inventory.platform,
    arch: inventory.architecture,
    ...(gpuUuids.length === 0 ? {} : { gpuUuids }),
    ...(driverVersion === null ? {} : { driverVersion }),
  };
}
