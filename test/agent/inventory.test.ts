import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { detectInventory, type HostFacts, readHostFacts } from "../../agent/inventory/detect-inventory.ts";
import { InventoryError } from "../../agent/inventory/inventory-error.ts";
import { parseNvidiaSmi } from "../../agent/inventory/parse-nvidia-smi.ts";
import { parseRocmSmi } from "../../agent/inventory/parse-rocm-smi.ts";
import { parseSystemProfiler } from "../../agent/inventory/parse-system-profiler.ts";
import { type CommandResult, type RunCommand, runCommand } from "../../agent/inventory/run-command.ts";

const host: HostFacts = {
  cpuModel: "Some CPU",
  cpuCores: 64,
  memoryMib: 128 * 1024,
  diskGib: 900,
  platform: "linux",
  architecture: "x64",
};

const twoHopper = [
  "0, GPU-6f0c1a52-1111-4a5b-9d21-0c1d2e3f4a5b, NVIDIA H100 80GB HBM3, 81559, 550.90.07, 00000000:1B:00.0, Disabled",
  "1, GPU-6f0c1a52-2222-4a5b-9d21-0c1d2e3f4a5b, NVIDIA H100 80GB HBM3, 81559, 550.90.07, 00000000:43:00.0, Disabled",
  "",
].join("\n");

const oneConsumerCard =
  "0, GPU-0a1b2c3d-3333-4a5b-9d21-0c1d2e3f4a5b, NVIDIA GeForce RTX 4090, 24564, 555.42.02, 00000000:01:00.0, [N/A]\n";

const twoInstinct = JSON.stringify({
  card1: {
    "Card Series": "AMD Instinct MI300X OAM",
    "Card Model": "0x74a1",
    "VRAM Total Memory (B)": "206141652992",
    "VRAM Total Used Memory (B)": "297918464",
    "PCI Bus": "0000:26:00.0",
    "Unique ID": "0x8a5fd2d3b1c40912",
  },
  card0: {
    "Card series": "AMD Instinct MI300X OAM",
    "VRAM Total Memory (B)": "206141652992",
    "PCI Bus": "0000:0C:00.0",
    "Unique ID": "N/A",
  },
  system: { "Driver version": "6.10.5" },
});

const maxMac = JSON.stringify({
  SPDisplaysDataType: [
    {
      _name: "Apple M3 Max",
      sppci_bus: "spdisplays_builtin",
      sppci_cores: "40",
      sppci_model: "Apple M3 Max",
      spdisplays_vendor: "sppci_vendor_Apple",
      spdisplays_ndrvs: [{ _name: "Color LCD" }],
    },
  ],
});

describe("nvidia-smi", () => {
  it("reads a server with two GPUs", () => {
    const { gpus, warnings } = parseNvidiaSmi(twoHopper);
    expect(warnings).toEqual([]);
    expect(gpus.map((gpu) => gpu.index)).toEqual([0, 1]);
    expect(gpus[1]).toMatchObject({
      vendor: "nvidia",
      name: "NVIDIA H100 80GB HBM3",
      uuid: "GPU-6f0c1a52-2222-4a5b-9d21-0c1d2e3f4a5b",
      pciAddress: "0000:43:00.0",
      driverVersion: "550.90.07",
    });
    expect(gpus[1]?.reportedVramGib).toBeCloseTo(79.65, 1);
  });

  it("leaves out a GPU in MIG mode and says why", () => {
    const { gpus, warnings } = parseNvidiaSmi(twoHopper.replace("Disabled", "Enabled"));
    expect(gpus.map((gpu) => gpu.index)).toEqual([1]);
    expect(warnings).toEqual([expect.stringContaining("MIG")]);
  });

  it.each([
    ["a missing column", "0, GPU-1, NVIDIA H100, 81559, 550, 00000000:1B:00.0"],
    ["memory that is not a number", "0, GPU-1, NVIDIA H100, [N/A], 550, 00000000:1B:00.0, Disabled"],
    ["one index twice", `${oneConsumerCard}${oneConsumerCard}`],
    ["a negative index", "-1, GPU-1, NVIDIA H100, 81559, 550, 00000000:1B:00.0, Disabled"],
  ])("refuses %s", (_, output) => {
    expect(() => parseNvidiaSmi(output)).toThrow(InventoryError);
  });
});

describe("rocm-smi", () => {
  it("reads cards in the order of their index, whatever the case of the keys", () => {
    const { gpus } = parseRocmSmi(`WARNING: AMD GPU device(s) is/are in a low-power state\n${twoInstinct}`);
    expect(gpus.map((gpu) => [gpu.index, gpu.pciAddress, gpu.uuid, gpu.driverVersion])).toEqual([
      [0, "0000:0c:00.0", null, "6.10.5"],
      [1, "0000:26:00.0", "0x8a5fd2d3b1c40912", "6.10.5"],
    ]);
  });

  it("does not offer the graphics inside a processor", () => {
    const output = JSON.stringify({ card0: { "Card Series": "Raphael", "VRAM Total Memory (B)": "536870912" } });
    const { gpus, warnings } = parseRocmSmi(output);
    expect(gpus).toEqual([]);
    expect(warnings).toHaveLength(1);
  });

  it("refuses a card without a size", () => {
    expect(() => parseRocmSmi('{"card0":{"Card Series":"AMD Instinct MI300X"}}')).toThrow(InventoryError);
  });
});

describe("system_profiler", () => {
  it("reads Apple silicon, whose memory is the machine's", () => {
    const { gpus } = parseSystemProfiler(maxMac, 128);
    expect(gpus).toMatchObject([{ vendor: "apple", name: "Apple M3 Max", reportedVramGib: 128 }]);
  });

  it("leaves out the card of an older Mac and says so", () => {
    const { gpus, warnings } = parseSystemProfiler(
      '{"SPDisplaysDataType":[{"sppci_model":"AMD Radeon Pro 5500M"}]}',
      16,
    );
    expect(gpus).toEqual([]);
    expect(warnings).toHaveLength(1);
  });
});

describe("every parser", () => {
  const parsers: readonly [string, (output: string) => unknown, string][] = [
    ["nvidia-smi", parseNvidiaSmi, twoHopper],
    ["rocm-smi", parseRocmSmi, twoInstinct],
    ["system_profiler", (output) => parseSystemProfiler(output, 64), maxMac],
  ];

  const onlyTypedErrors = (parse: (output: string) => unknown, output: string) => {
    try {
      parse(output);
    } catch (error) {
      expect(error).toBeInstanceOf(InventoryError);
    }
  };

  it.each(parsers)("%s: junk raises nothing but InventoryError", (_, parse) => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: "binary" })), (output) =>
        onlyTypedErrors(parse, output),
      ),
    );
  });

  it.each(parsers)("%s: damaged output raises nothing but InventoryError", (_, parse, sample) => {
    const damage = fc.record({ at: fc.nat(sample.length), remove: fc.nat(30), insert: fc.string({ maxLength: 12 }) });
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (damages) => {
        const output = damages.reduce(
          (text, { at, remove, insert }) => text.slice(0, at) + insert + text.slice(at + remove),
          sample,
        );
        onlyTypedErrors(parse, output);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(parsers)("%s: any JSON shape raises nothing but InventoryError", (_, parse) => {
    const keys = fc.constantFrom(
      "card0",
      "card1",
      "system",
      "Card Series",
      "VRAM Total Memory (B)",
      "SPDisplaysDataType",
      "sppci_model",
      "_name",
    );
    const shape = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue(),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(keys, tie("value")),
      ),
    })).value;
    fc.assert(fc.property(shape, (value) => onlyTypedErrors(parse, JSON.stringify(value) ?? "")));
  });
});

function machineWith(answers: Readonly<Record<string, Partial<CommandResult>>>): RunCommand {
  return async (file) => {
    const answer = answers[file];
    return answer === undefined ? null : { exitCode: 0, stdout: "", stderr: "", ...answer };
  };
}

describe("the inventory", () => {
  const detect = (answers: Readonly<Record<string, Partial<CommandResult>>>, facts: Partial<HostFacts> = {}) =>
    detectInventory({ runCommand: machineWith(answers), host: { ...host, ...facts }, cpuSlots: 3 });

  it.each([
    ["NVIDIA", { "nvidia-smi": { stdout: twoHopper } }, {}, "h100-sxm-80gb", 2],
    ["a consumer card", { "nvidia-smi": { stdout: oneConsumerCard } }, {}, "rtx-4090-24gb", 1],
    ["AMD", { "rocm-smi": { stdout: twoInstinct } }, {}, "mi300x-192gb", 2],
    ["Apple", { system_profiler: { stdout: maxMac } }, { platform: "darwin" }, "m3-max-128gb", 1],
    ["no GPU", {}, {}, "cpu", 3],
    ["a tool without GPUs", { "nvidia-smi": { exitCode: 6, stdout: "No devices were found\n" } }, {}, "cpu", 3],
  ])("offers %s by the slug of the catalogue", async (_, answers, facts, model, count) => {
    const inventory = await detect(answers, facts);
    expect([inventory.model, inventory.count, inventory.warnings]).toEqual([model, count, []]);
  });

  it("tells the supplier about a driver that fails", async () => {
    const stderr = "Failed to initialize NVML: Driver/library version mismatch\n";
    const inventory = await detect({ "nvidia-smi": { exitCode: 18, stderr } });
    expect(inventory.model).toBe("cpu");
    expect(inventory.warnings).toEqual([expect.stringContaining("version mismatch")]);
  });

  it("tells the supplier about a tool that hangs, and about output that cannot be read", async () => {
    const hangs = await detect({ "nvidia-smi": { exitCode: null } });
    expect(hangs.warnings).toEqual([expect.stringContaining("did not finish")]);
    const junk = await detect({ "rocm-smi": { stdout: "segmentation fault" } });
    expect(junk.warnings).toEqual([expect.stringContaining("rocm-smi")]);
  });

  it("offers the most numerous model of a mixed machine and says what is left out", async () => {
    const mixed = `${twoHopper.trim()}\n${oneConsumerCard.replace(/^0/, "2")}`;
    const inventory = await detect({ "nvidia-smi": { stdout: mixed } });
    expect([inventory.model, inventory.gpus.map((gpu) => gpu.index)]).toEqual(["h100-sxm-80gb", [0, 1]]);
    expect(inventory.warnings).toEqual([expect.stringContaining("1 other")]);
  });

  it("does not offer a GPU that the network does not know", async () => {
    const laptop = oneConsumerCard.replace("RTX 4090", "RTX 4090 Laptop GPU");
    const inventory = await detect({ "nvidia-smi": { stdout: laptop } });
    expect(inventory.model).toBe("cpu");
    expect(inventory.warnings).toEqual([expect.stringContaining("Laptop")]);
  });

  it("reads this very machine", async () => {
    const facts = await readHostFacts(".");
    expect(facts.cpuCores).toBeGreaterThan(0);
    expect(facts.memoryMib).toBeGreaterThan(0);
    expect(facts.diskGib).toBeGreaterThanOrEqual(0);
    const inventory = await detectInventory({ runCommand, host: facts, cpuSlots: 2 });
    expect(inventory.count).toBeGreaterThan(0);
  });
});

describe("runCommand", () => {
  it("tells a missing program, a failing one and one that hangs apart", async () => {
    expect(await runCommand("volley-no-such-program", [], { timeoutMs: 5_000 })).toBeNull();
    expect(await runCommand("sh", ["-c", "echo out; echo err >&2; exit 3"], { timeoutMs: 5_000 })).toEqual({
      exitCode: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect((await runCommand("sleep", ["60"], { timeoutMs: 50 }))?.exitCode).toBeNull();
  });
});
