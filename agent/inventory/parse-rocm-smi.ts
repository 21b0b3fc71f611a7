import type { ReportedGpu, ReportedGpus } from "./gpu.ts";
import { InventoryError } from "./inventory-error.ts";
import { isRecord, type JsonRecord, parseJsonObject } from "./parse-json.ts";

/** The arguments whose output {@link parseRocmSmi} reads. */
export const rocmSmiArguments = [
  "--showproductname",
  "--showmeminfo",
  "vram",
  "--showbus",
  "--showuniqueid",
  "--showdriverversion",
  "--json",
] as const;

const bytesPerGib = 1024 ** 3;

/**
 * Reads the answer to {@link rocmSmiArguments}: one object per card, keyed `card0`, `card1`, … beside `system`.
 * Spelling of the inner keys differs between ROCm releases in case only, so they are matched without it.
 * @throws InventoryError when the output is not what rocm-smi prints.
 */
export function parseRocmSmi(output: string): ReportedGpus {
  const answer = parseJsonObject("rocm-smi", output);
  const system = answer.system;
  const driverVersion = isRecord(system) ? field(system, "driver version") : null;
  const gpus: ReportedGpu[] = [];
  const warnings: string[] = [];
  for (const [key, card] of Object.entries(answer)) {
    const match = /^card(\d{1,4})$/.exec(key);
    if (match === null) {
      continue;
    }
    if (!isRecord(card)) {
      throw new InventoryError("rocm-smi", `${key} is not an object`);
    }
    const gpu = toGpu(Number(match[1]), card, driverVersion);
    if (gpu === null) {
      warnings.push(`${key} reports less than 4 GiB of its own memory and is taken for integrated graphics.`);
    } else {
      gpus.push(gpu);
    }
  }
  gpus.sort((left, right) => left.index - right.index);
  return { gpus, warnings };
}

function toGpu(index: number, card: JsonRecord, driverVersion: string | null): ReportedGpu | null {
  const name = field(card, "card series") ?? field(card, "device name") ?? field(card, "card model");
  const vramBytes = field(card, "vram total memory (b)");
  if (name === null) {
    throw new InventoryError("rocm-smi", `card${index} has no product name`);
  }
  if (vramBytes === null || !/^\d{1,15}$/.test(vramBytes)) {
    throw new InventoryError("rocm-smi", `card${index} has no memory size`);
  }
  const vramGib = Number(vramBytes) / bytesPerGib;
  if (vramGib < 3.5) {
    return null;
  }
  const pciAddress = field(card, "pci bus")?.toLowerCase() ?? "";
  return {
    index,
    vendor: "amd",
    name,
    reportedVramGib: vramGib,
    uuid: field(card, "unique id"),
    pciAddress: /^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$/.test(pciAddress) ? pciAddress : null,
    driverVersion,
  };
}

function field(record: JsonRecord, lowerCaseName: string): string | null {
  for (const [key, value] of Object.entries(record)) {
    if (key.toLowerCase() === lowerCaseName && (typeof value === "string" || typeof value === "number")) {
      const text = String(value).trim();
      return text === "" || text === "N/A" ? null : text;
    }
  }
  return null;
}
