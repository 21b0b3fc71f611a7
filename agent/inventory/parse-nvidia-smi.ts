import type { ReportedGpu, ReportedGpus } from "./gpu.ts";
import { InventoryError } from "./inventory-error.ts";

/** The arguments whose output {@link parseNvidiaSmi} reads. */
export const nvidiaSmiArguments = [
  "--query-gpu=index,uuid,name,memory.total,driver_version,pci.bus_id,mig.mode.current",
  "--format=csv,noheader,nounits",
] as const;

/**
 * Reads the answer to {@link nvidiaSmiArguments}. A GPU in MIG mode cannot be leased whole and is left out with a warning.
 * @throws InventoryError when a line is not what nvidia-smi prints.
 */
export function parseNvidiaSmi(output: string): ReportedGpus {
  const gpus: ReportedGpu[] = [];
  const warnings: string[] = [];
  for (const line of output.split(/\r?\n/)) {
    if (line.trim() === "" || /^No devices were found/i.test(line.trim())) {
      continue;
    }
    const { gpu, migMode } = parseLine(line);
    if (/^enabled$/i.test(migMode)) {
      warnings.push(
        `GPU ${gpu.index} (${gpu.name}) is in MIG mode and cannot be leased whole; disable MIG to offer it.`,
      );
    } else if (gpus.some((other) => other.index === gpu.index)) {
      throw new InventoryError("nvidia-smi", `index ${gpu.index} is listed twice`);
    } else {
      gpus.push(gpu);
    }
  }
  return { gpus, warnings };
}

function parseLine(line: string): { gpu: ReportedGpu; migMode: string } {
  const fields = line.split(",").map((field) => field.trim());
  const [index = "", uuid = "", name = "", memoryMib = "", driverVersion = "", busId = "", migMode = ""] = fields;
  if (fields.length !== 7 || !/^\d{1,4}$/.test(index) || name === "") {
    throw new InventoryError("nvidia-smi", `cannot read the line ${JSON.stringify(line.slice(0, 200))}`);
  }
  const vramGib = Number(memoryMib) / 1024;
  if (!/^\d{1,9}$/.test(memoryMib) || vramGib < 0.5) {
    throw new InventoryError("nvidia-smi", `GPU ${index} reports no usable memory size (${memoryMib.slice(0, 40)})`);
  }
  return {
    gpu: {
      index: Number(index),
      vendor: "nvidia",
      name,
      reportedVramGib: vramGib,
      uuid: known(uuid),
      pciAddress: normalizePciAddress(busId),
      driverVersion: known(driverVersion),
    },
    migMode,
  };
}

function known(value: string): string | null {
  return value === "" || value.startsWith("[") || value === "N/A" ? null : value;
}

/** nvidia-smi prints an eight-digit PCI domain (`00000000:3B:00.0`); Linux names devices with four. */
function normalizePciAddress(busId: string): string | null {
  const match = /^(?:[0-9a-f]{4})?([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-9a-f])$/i.exec(busId);
  return match === null ? null : `${match[1]}:${match[2]}:${match[3]}.${match[4]}`.toLowerCase();
}
