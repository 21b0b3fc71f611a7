import type { ReportedGpu, ReportedGpus } from "./gpu.ts";
import { InventoryError } from "./inventory-error.ts";
import { isRecord, parseJsonObject } from "./parse-json.ts";

/** The arguments whose output {@link parseSystemProfiler} reads. */
export const systemProfilerArguments = ["SPDisplaysDataType", "-json"] as const;

/**
 * Reads the answer to {@link systemProfilerArguments}. Only Apple silicon counts: its GPU shares the machine's memory,
 * so `memoryGib` is its size. Other cards of older Macs are left out with a warning.
 * @throws InventoryError when the output is not what system_profiler prints.
 */
export function parseSystemProfiler(output: string, memoryGib: number): ReportedGpus {
  const displays = parseJsonObject("system_profiler", output).SPDisplaysDataType;
  if (!Array.isArray(displays)) {
    throw new InventoryError("system_profiler", "has no SPDisplaysDataType list");
  }
  const gpus: ReportedGpu[] = [];
  const warnings: string[] = [];
  for (const display of displays) {
    if (!isRecord(display)) {
      throw new InventoryError("system_profiler", "lists a display that is not an object");
    }
    const name = display.sppci_model ?? display._name;
    if (typeof name !== "string" || name.trim() === "") {
      throw new InventoryError("system_profiler", "lists a display without a model name");
    }
    if (!/^apple m\d/i.test(name.trim())) {
      warnings.push(`${name.trim().slice(0, 80)} is not Apple silicon and is not offered.`);
      continue;
    }
    gpus.push({
      index: gpus.length,
      vendor: "apple",
      name: name.trim(),
      reportedVramGib: memoryGib,
      uuid: null,
      pciAddress: null,
      driverVersion: null,
    });
  }
  return { gpus, warnings };
}
