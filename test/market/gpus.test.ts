import { describe, expect, test } from "vitest";
import { GPU_MODELS, gpuFromDevice, gpuModel, resolveGpu } from "../../schema/index.ts";

describe("the catalogue", () => {
  test("has at least 60 models beside cpu, each slug once and in the slug's own form", () => {
    const slugs = GPU_MODELS.map((model) => model.slug);
    expect(new Set(slugs).size).toBe(slugs.length);
    expect(slugs.length).toBeGreaterThan(60);
    for (const slug of slugs) expect(slug).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });

  test("every slug, name and alias resolves to its own model", () => {
    for (const model of GPU_MODELS) {
      for (const text of [model.slug, model.name, ...model.aliases])
        expect([text, resolveGpu(text)]).toEqual([text, model.slug]);
    }
  });

  test("an alias means one model only", () => {
    const aliases = GPU_MODELS.flatMap((model) => model.aliases);
    expect(new Set(aliases).size).toBe(aliases.length);
  });
});

describe("resolveGpu", () => {
  test.each([
    ["h100-sxm", "h100-sxm-80gb"],
    ["h100", "h100-sxm-80gb"],
    ["H100 SXM", "h100-sxm-80gb"],
    ["NVIDIA GeForce RTX 4090", "rtx-4090-24gb"],
    ["rtx4090", "rtx-4090-24gb"],
    ["rtx_3080", "rtx-3080-10gb"],
    ["h100-nvl", "h100-nvl-94gb"],
    ["mi300x", "mi300x-192gb"],
    ["l4", "l4-24gb"],
    ["cpu", "cpu"],
    ["CPU", "cpu"],
  ])("%s is %s", (text, slug) => expect(resolveGpu(text)).toBe(slug));

  test.each(["a100", "a100-sxm", "rtx", "m3-max", "h1", "h100-sxm-8", "", " ", "nvidia"])(
    "%j could be several models or none",
    (text) => expect(resolveGpu(text)).toBeNull(),
  );
});

test("a text that no name is as long as is no model, at once", () => {
  expect(resolveGpu("x".repeat(1_000_000))).toBeNull();
});

describe("gpuFromDevice", () => {
  test.each([
    ["NVIDIA H100 80GB HBM3", 79.6, "h100-sxm-80gb"],
    ["NVIDIA H100 PCIe", 79.6, "h100-pcie-80gb"],
    ["NVIDIA H100 NVL", 93.6, "h100-nvl-94gb"],
    ["NVIDIA H200", 140.4, "h200-sxm-141gb"],
    ["NVIDIA B200", 179, "b200-sxm-180gb"],
    ["NVIDIA GH200 480GB", 95.6, "gh200-96gb"],
    ["NVIDIA A100-SXM4-80GB", 80, "a100-sxm-80gb"],
    ["NVIDIA A100-SXM4-40GB", 40, "a100-sxm-40gb"],
    ["NVIDIA A100 80GB PCIe", 80, "a100-pcie-80gb"],
    ["NVIDIA A100-PCIE-40GB", 40, "a100-pcie-40gb"],
    ["Tesla V100-SXM2-16GB", 15.8, "v100-sxm-16gb"],
    ["Tesla T4", 15, "t4-16gb"],
    ["NVIDIA A10G", 22.5, "a10g-24gb"],
    ["NVIDIA L40S", 45, "l40s-48gb"],
    ["NVIDIA RTX 6000 Ada Generation", 48, "rtx-6000-ada-48gb"],
    ["NVIDIA RTX A6000", 48, "rtx-a6000-48gb"],
    ["NVIDIA RTX PRO 6000 Blackwell Server Edition", 95.6, "rtx-pro-6000-96gb"],
    ["NVIDIA GeForce RTX 4060 Ti", 8, "rtx-4060-ti-8gb"],
    ["NVIDIA GeForce RTX 4070 Ti SUPER", 16, "rtx-4070-ti-super-16gb"],
    ["NVIDIA GeForce RTX 4070 Ti", 12, "rtx-4070-ti-12gb"],
    ["AMD Instinct MI300X OAM", 192, "mi300x-192gb"],
    ["AMD Instinct MI250X / MI250", 64, "mi250x-64gb"],
    ["Radeon RX 7900 XT/7900 XTX", 24, "rx-7900-xtx-24gb"],
    ["Radeon RX 7900 XT/7900 XTX", 20, "rx-7900-xt-20gb"],
    ["Apple M3 Max", 36, "m3-max-36gb"],
    ["Apple M3 Max", 64, "m3-max-36gb"],
    ["Apple M3 Max", 128, "m3-max-128gb"],
    ["Apple M1", 16, "m1-8gb"],
    ["Intel(R) Arc(TM) A770 Graphics", 15.9, "arc-a770-16gb"],
  ])("%s with %d GiB is %s", (name, vramGib, slug) => expect(gpuFromDevice(name, vramGib)).toBe(slug));

  test.each([
    ["NVIDIA GeForce RTX 4090 Laptop GPU", 16],
    ["NVIDIA GeForce RTX 2070 with Max-Q Design", 8],
    ["NVIDIA H100 80GB HBM3", 10],
    ["Matrox G200", 0.016],
    ["", 0],
  ])("%s with %d GiB is of no known model", (name, vramGib) => expect(gpuFromDevice(name, vramGib)).toBeNull());

  test("never promises more memory than the device has, a tenth aside", () => {
    for (const model of GPU_MODELS) {
      for (const device of model.devices) {
        for (const vramGib of [4, 8, 16, 24, 40, 80, 128, 512]) {
          const slug = gpuFromDevice(device, vramGib);
          if (slug !== null) expect((gpuModel(slug)?.vramGib ?? 0) * 0.9).toBeLessThanOrEqual(vramGib);
        }
      }
    }
  });
});
