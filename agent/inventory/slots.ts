import type { Inventory } from "./detect-inventory.ts";
import type { DetectedGpu } from "./gpu.ts";

/** What can be leased under one number: a GPU, a GPU that is not found any more, or a share of a machine without one. */
export type Slot = DetectedGpu | "missing" | "share";

/**
 * What each slot is, in order, written down when the machine joins: a GPU's name, or null for a share. Slots must not
 * move when a GPU is lost or its driver breaks, because they are sold by their numbers.
 */
export type SlotNames = readonly (string | null)[];

export function nameSlots({ gpus, count }: Inventory): SlotNames {
  return gpus.length > 0 ? gpus.map(nameOf) : Array.from({ length: count }, () => null);
}

export function findSlots(names: SlotNames, { gpus }: Inventory): readonly Slot[] {
  const found = new Map(gpus.map((gpu) => [nameOf(gpu), gpu]));
  return names.map((name) => (name === null ? "share" : (found.get(name) ?? "missing")));
}

/** The vendor's index is the last resort: it changes when a GPU with a lower one is lost. */
function nameOf(gpu: DetectedGpu): string {
  return gpu.uuid ?? gpu.pciAddress ?? `${gpu.vendor}-${gpu.index}`;
}
