import { statfs } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { CPU_SLUG, gpuFromDevice } from "@volley/schema/gpus";
import type { DetectedGpu, ReportedGpus } from "./gpu.ts";
import { InventoryError } from "./inventory-error.ts";
import { nvidiaSmiArguments, parseNvidiaSmi } from "./parse-nvidia-smi.ts";
import { parseRocmSmi, rocmSmiArguments } from "./parse-rocm-smi.ts";
import { parseSystemProfiler, systemProfilerArguments } from "./parse-system-profiler.ts";
import type { CommandResult, RunCommand } from "./run-command.ts";

/** What this machine is, apart from its GPUs. */
export interface HostFacts {
  readonly cpuModel: string;
  readonly cpuCores: number;
  readonly memoryMib: number;
  /** Free space where the agent keeps its data, in GiB. */
  readonly diskGib: number;
  readonly platform: string;
  readonly architecture: string;
}

/** One kind of capacity that the machine offers. `count` is GPUs, or slots for the class `cpu`. */
export interface Inventory extends HostFacts {
  /** The GPU model's slug, or `cpu` for a machine without one. */
  readonly model: string;
  readonly count: number;
  /** The GPUs that are offered; their order is that of the slots. */
  readonly gpus: readonly DetectedGpu[];
  /** What the supplier should know, such as why a GPU is not offered. */
  readonly warnings: readonly string[];
}

const commandTimeoutMs = 20_000;
const bytesPerGib = 1024 ** 3;

/** Reads the host's facts from the operating system. `directory` is on the disk that counts. */
export async function readHostFacts(directory: string): Promise<HostFacts> {
  const disk = await statfs(directory);
  const processors = cpus();
  return {
    cpuModel: processors[0]?.model.trim() || "unknown",
    cpuCores: Math.max(processors.length, 1),
    memoryMib: Math.floor(totalmem() / 1024 ** 2),
    diskGib: Math.floor((disk.bavail * disk.bsize) / bytesPerGib),
    platform: process.platform,
    architecture: process.arch,
  };
}

/**
 * Finds what this machine can lease: NVIDIA, then AMD, then Apple GPUs, or `cpuSlots` slots of the class `cpu`.
 * A tool that is missing means no such GPU; a tool that fails or cannot be read becomes a warning, so that a broken
 * driver is seen by the supplier and never turns a GPU machine silently into something else.
 * Where models differ, the most numerous one is offered, since a node has one model.
 */
export async function detectInventory(options: {
  readonly runCommand: RunCommand;
  readonly host: HostFacts;
  readonly cpuSlots: number;
}): Promise<Inventory> {
  const { host, runCommand } = options;
  const reported = await reportGpus(runCommand, host);
  const { gpus: known, warnings } = nameModels(reported);
  const models = Map.groupBy(known, (gpu) => gpu.model);
  const [largest] = [...models].sort((left, right) => right[1].length - left[1].length);
  if (largest === undefined) {
    return { ...host, warnings, gpus: [], model: CPU_SLUG, count: options.cpuSlots };
  }
  const [model, gpus] = largest;
  const left = known.length - gpus.length;
  const mixed = left === 0 ? [] : [`A node offers one GPU model: ${model} is offered, ${left} other GPUs are not.`];
  return { ...host, gpus, warnings: [...warnings, ...mixed], model, count: gpus.length };
}

function nameModels(reported: ReportedGpus): { gpus: readonly DetectedGpu[]; warnings: readonly string[] } {
  const gpus: DetectedGpu[] = [];
  const warnings = [...reported.warnings];
  for (const gpu of reported.gpus) {
    const model = gpuFromDevice(gpu.name, gpu.reportedVramGib);
    if (model === null) {
      const size = gpu.reportedVramGib.toFixed(1);
      warnings.push(`GPU ${gpu.index} (${gpu.name}, ${size} GiB) is of no model that the network trades in.`);
    } else {
      gpus.push({ ...gpu, model });
    }
  }
  return { gpus, warnings };
}

async function reportGpus(runCommand: RunCommand, host: HostFacts): Promise<ReportedGpus> {
  const probes: readonly (() => Promise<ReportedGpus>)[] = [
    () => probe(runCommand, "nvidia-smi", nvidiaSmiArguments, parseNvidiaSmi),
    () => probe(runCommand, "rocm-smi", rocmSmiArguments, parseRocmSmi),
    () =>
      host.platform === "darwin"
        ? probe(runCommand, "system_profiler", systemProfilerArguments, (output) =>
            parseSystemProfiler(output, host.memoryMib / 1024),
          )
        : Promise.resolve({ gpus: [], warnings: [] }),
  ];
  const warnings: string[] = [];
  for (const detect of probes) {
    const found = await detect();
    warnings.push(...found.warnings);
    if (found.gpus.length > 0) {
      return { gpus: found.gpus, warnings };
    }
  }
  return { gpus: [], warnings };
}

async function probe(
  runCommand: RunCommand,
  tool: string,
  args: readonly string[],
  parse: (output: string) => ReportedGpus,
): Promise<ReportedGpus> {
  const result = await runCommand(tool, args, { timeoutMs: commandTimeoutMs });
  if (result === null) {
    return { gpus: [], warnings: [] };
  }
  if (result.exitCode !== 0 && !/no devices were found/i.test(result.stdout)) {
    return { gpus: [], warnings: [`${tool} ${describeFailure(result)}`] };
  }
  try {
    return parse(result.stdout);
  } catch (error) {
    if (error instanceof InventoryError) {
      return { gpus: [], warnings: [error.message] };
    }
    throw error;
  }
}

function describeFailure(result: CommandResult): string {
  const how = result.exitCode === null ? "did not finish" : `failed with exit code ${result.exitCode}`;
  const said = (result.stderr.trim() || result.stdout.trim()).split("\n")[0]?.slice(0, 200) ?? "";
  return said === "" ? `${how}.` : `${how}: ${said}`;
}
