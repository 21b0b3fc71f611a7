/**
 * The GPU models that Volley knows. A slug is `family-memory`, in the vendors' own words, and never
 * changes its meaning: quotes, offers and machines name models by it.
 */

export type GpuVendor = "nvidia" | "amd" | "apple" | "intel" | "none";

export interface GpuModel {
  readonly slug: string;
  readonly name: string;
  readonly vendor: GpuVendor;
  readonly architecture: string;
  /** Memory of one GPU as the vendor states it; for Apple silicon the unified memory. */
  readonly vramGib: number;
  /** Other names that people use and that mean this model and no other. */
  readonly aliases: readonly string[];
  /** Words that drivers print for this model; all of one entry must be in the device's name. */
  readonly devices: readonly string[];
}

/** Machines without a GPU: their shares are rented as slots of this class. */
export const CPU_SLUG = "cpu";

/** `slug | name | architecture | device words, alternatives parted by commas | aliases`. */
type Row = readonly [slug: string, name: string, architecture: string, devices: string, aliases?: string];

const NVIDIA: readonly Row[] = [
  ["gb300-288gb", "NVIDIA GB300", "blackwell-ultra", "gb300"],
  ["b300-sxm-288gb", "NVIDIA B300 SXM", "blackwell-ultra", "b300", "b300"],
  ["gb200-192gb", "NVIDIA GB200", "blackwell", "gb200"],
  ["b200-sxm-180gb", "NVIDIA B200 SXM", "blackwell", "b200", "b200"],
  ["rtx-pro-6000-96gb", "NVIDIA RTX PRO 6000 Blackwell", "blackwell", "rtx pro 6000", "pro-6000"],
  ["gh200-144gb", "NVIDIA GH200 144 GB", "hopper", "gh200"],
  ["gh200-96gb", "NVIDIA GH200 96 GB", "hopper", "gh200"],
  ["h200-sxm-141gb", "NVIDIA H200 SXM", "hopper", "h200", "h200"],
  ["h200-nvl-141gb", "NVIDIA H200 NVL", "hopper", "h200 nvl"],
  ["h100-sxm-80gb", "NVIDIA H100 SXM", "hopper", "h100 hbm3,h100 sxm5", "h100,h100-80gb,h100-sxm5"],
  ["h100-pcie-80gb", "NVIDIA H100 PCIe", "hopper", "h100 pcie"],
  ["h100-nvl-94gb", "NVIDIA H100 NVL", "hopper", "h100 nvl"],
  ["h20-96gb", "NVIDIA H20", "hopper", "h20"],
  ["a100-sxm-80gb", "NVIDIA A100 SXM 80 GB", "ampere", "a100 sxm4", "a100-sxm4-80gb"],
  ["a100-sxm-40gb", "NVIDIA A100 SXM 40 GB", "ampere", "a100 sxm4", "a100-sxm4-40gb"],
  ["a100-pcie-80gb", "NVIDIA A100 PCIe 80 GB", "ampere", "a100 pcie"],
  ["a100-pcie-40gb", "NVIDIA A100 PCIe 40 GB", "ampere", "a100 pcie"],
  ["l40s-48gb", "NVIDIA L40S", "ada", "l40s"],
  ["l40-48gb", "NVIDIA L40", "ada", "l40"],
  ["l4-24gb", "NVIDIA L4", "ada", "l4"],
  ["a40-48gb", "NVIDIA A40", "ampere", "a40"],
  ["a30-24gb", "NVIDIA A30", "ampere", "a30"],
  ["a16-16gb", "NVIDIA A16", "ampere", "a16"],
  ["a10-24gb", "NVIDIA A10", "ampere", "a10"],
  ["a10g-24gb", "NVIDIA A10G", "ampere", "a10g"],
  ["a2-16gb", "NVIDIA A2", "ampere", "a2"],
  ["rtx-6000-ada-48gb", "NVIDIA RTX 6000 Ada", "ada", "rtx 6000 ada", "6000-ada"],
  ["rtx-5000-ada-32gb", "NVIDIA RTX 5000 Ada", "ada", "rtx 5000 ada", "5000-ada"],
  ["rtx-4000-ada-20gb", "NVIDIA RTX 4000 Ada", "ada", "rtx 4000 ada", "4000-ada"],
  ["rtx-a6000-48gb", "NVIDIA RTX A6000", "ampere", "rtx a6000", "a6000"],
  ["rtx-a5000-24gb", "NVIDIA RTX A5000", "ampere", "rtx a5000", "a5000"],
  ["rtx-a4000-16gb", "NVIDIA RTX A4000", "ampere", "rtx a4000", "a4000"],
  ["v100-sxm-32gb", "NVIDIA V100 SXM 32 GB", "volta", "v100 sxm2,v100 sxm3"],
  ["v100-sxm-16gb", "NVIDIA V100 SXM 16 GB", "volta", "v100 sxm2"],
  ["v100-pcie-16gb", "NVIDIA V100 PCIe", "volta", "v100 pcie"],
  ["t4-16gb", "NVIDIA T4", "turing", "t4"],
  ["p100-pcie-16gb", "NVIDIA P100 PCIe", "pascal", "p100 pcie"],
  ["quadro-rtx-8000-48gb", "NVIDIA Quadro RTX 8000", "turing", "rtx 8000", "rtx-8000"],
  ["rtx-5090-32gb", "NVIDIA GeForce RTX 5090", "blackwell", "rtx 5090", "5090"],
  ["rtx-5080-16gb", "NVIDIA GeForce RTX 5080", "blackwell", "rtx 5080", "5080"],
  ["rtx-5070-ti-16gb", "NVIDIA GeForce RTX 5070 Ti", "blackwell", "rtx 5070 ti", "5070-ti"],
  ["rtx-5070-12gb", "NVIDIA GeForce RTX 5070", "blackwell", "rtx 5070", "5070"],
  ["rtx-5060-ti-16gb", "NVIDIA GeForce RTX 5060 Ti", "blackwell", "rtx 5060 ti", "5060-ti"],
  ["rtx-4090-24gb", "NVIDIA GeForce RTX 4090", "ada", "rtx 4090", "4090"],
  ["rtx-4080-super-16gb", "NVIDIA GeForce RTX 4080 SUPER", "ada", "rtx 4080 super", "4080-super"],
  ["rtx-4080-16gb", "NVIDIA GeForce RTX 4080", "ada", "rtx 4080", "4080"],
  ["rtx-4070-ti-super-16gb", "NVIDIA GeForce RTX 4070 Ti SUPER", "ada", "rtx 4070 ti super", "4070-ti-super"],
  ["rtx-4070-ti-12gb", "NVIDIA GeForce RTX 4070 Ti", "ada", "rtx 4070 ti", "4070-ti"],
  ["rtx-4070-super-12gb", "NVIDIA GeForce RTX 4070 SUPER", "ada", "rtx 4070 super", "4070-super"],
  ["rtx-4070-12gb", "NVIDIA GeForce RTX 4070", "ada", "rtx 4070", "4070"],
  ["rtx-4060-ti-16gb", "NVIDIA GeForce RTX 4060 Ti 16 GB", "ada", "rtx 4060 ti"],
  ["rtx-4060-ti-8gb", "NVIDIA GeForce RTX 4060 Ti 8 GB", "ada", "rtx 4060 ti"],
  ["rtx-4060-8gb", "NVIDIA GeForce RTX 4060", "ada", "rtx 4060", "4060"],
  ["rtx-3090-ti-24gb", "NVIDIA GeForce RTX 3090 Ti", "ampere", "rtx 3090 ti", "3090-ti"],
  ["rtx-3090-24gb", "NVIDIA GeForce RTX 3090", "ampere", "rtx 3090", "3090"],
  ["rtx-3080-ti-12gb", "NVIDIA GeForce RTX 3080 Ti", "ampere", "rtx 3080 ti", "3080-ti"],
  ["rtx-3080-10gb", "NVIDIA GeForce RTX 3080", "ampere", "rtx 3080", "3080"],
  ["rtx-3070-8gb", "NVIDIA GeForce RTX 3070", "ampere", "rtx 3070", "3070"],
  ["rtx-3060-12gb", "NVIDIA GeForce RTX 3060", "ampere", "rtx 3060", "3060"],
  ["rtx-2080-ti-11gb", "NVIDIA GeForce RTX 2080 Ti", "turing", "rtx 2080 ti", "2080-ti"],
];

const AMD: readonly Row[] = [
  ["mi355x-288gb", "AMD Instinct MI355X", "cdna4", "mi355x"],
  ["mi325x-256gb", "AMD Instinct MI325X", "cdna3", "mi325x"],
  ["mi300x-192gb", "AMD Instinct MI300X", "cdna3", "mi300x"],
  ["mi300a-128gb", "AMD Instinct MI300A", "cdna3", "mi300a"],
  ["mi250x-64gb", "AMD Instinct MI250X (one of its two dies)", "cdna2", "mi250x", "mi250"],
  ["mi210-64gb", "AMD Instinct MI210", "cdna2", "mi210"],
  ["mi100-32gb", "AMD Instinct MI100", "cdna", "mi100"],
  ["radeon-pro-w7900-48gb", "AMD Radeon PRO W7900", "rdna3", "w7900", "w7900"],
  ["rx-9070-xt-16gb", "AMD Radeon RX 9070 XT", "rdna4", "9070 xt", "9070-xt"],
  ["rx-7900-xtx-24gb", "AMD Radeon RX 7900 XTX", "rdna3", "7900 xtx", "7900-xtx"],
  ["rx-7900-xt-20gb", "AMD Radeon RX 7900 XT", "rdna3", "7900 xt", "7900-xt"],
  ["rx-6900-xt-16gb", "AMD Radeon RX 6900 XT", "rdna2", "6900 xt", "6900-xt"],
];

const APPLE: readonly Row[] = [
  ["m1-8gb", "Apple M1", "apple-m1", "m1", "m1"],
  ["m1-pro-16gb", "Apple M1 Pro", "apple-m1", "m1 pro", "m1-pro"],
  ["m1-max-32gb", "Apple M1 Max 32 GB", "apple-m1", "m1 max"],
  ["m1-max-64gb", "Apple M1 Max 64 GB", "apple-m1", "m1 max"],
  ["m1-ultra-64gb", "Apple M1 Ultra", "apple-m1", "m1 ultra", "m1-ultra"],
  ["m2-8gb", "Apple M2 8 GB", "apple-m2", "m2"],
  ["m2-24gb", "Apple M2 24 GB", "apple-m2", "m2"],
  ["m2-pro-16gb", "Apple M2 Pro", "apple-m2", "m2 pro", "m2-pro"],
  ["m2-max-32gb", "Apple M2 Max 32 GB", "apple-m2", "m2 max"],
  ["m2-max-96gb", "Apple M2 Max 96 GB", "apple-m2", "m2 max"],
  ["m2-ultra-64gb", "Apple M2 Ultra 64 GB", "apple-m2", "m2 ultra"],
  ["m2-ultra-192gb", "Apple M2 Ultra 192 GB", "apple-m2", "m2 ultra"],
  ["m3-8gb", "Apple M3 8 GB", "apple-m3", "m3"],
  ["m3-24gb", "Apple M3 24 GB", "apple-m3", "m3"],
  ["m3-pro-18gb", "Apple M3 Pro 18 GB", "apple-m3", "m3 pro"],
  ["m3-pro-36gb", "Apple M3 Pro 36 GB", "apple-m3", "m3 pro"],
  ["m3-max-36gb", "Apple M3 Max 36 GB", "apple-m3", "m3 max"],
  ["m3-max-128gb", "Apple M3 Max 128 GB", "apple-m3", "m3 max"],
  ["m3-ultra-96gb", "Apple M3 Ultra 96 GB", "apple-m3", "m3 ultra"],
  ["m3-ultra-512gb", "Apple M3 Ultra 512 GB", "apple-m3", "m3 ultra"],
  ["m4-16gb", "Apple M4 16 GB", "apple-m4", "m4"],
  ["m4-32gb", "Apple M4 32 GB", "apple-m4", "m4"],
  ["m4-pro-24gb", "Apple M4 Pro 24 GB", "apple-m4", "m4 pro"],
  ["m4-pro-48gb", "Apple M4 Pro 48 GB", "apple-m4", "m4 pro"],
  ["m4-max-36gb", "Apple M4 Max 36 GB", "apple-m4", "m4 max"],
  ["m4-max-128gb", "Apple M4 Max 128 GB", "apple-m4", "m4 max"],
  ["m5-16gb", "Apple M5 16 GB", "apple-m5", "m5"],
  ["m5-32gb", "Apple M5 32 GB", "apple-m5", "m5"],
];

const INTEL: readonly Row[] = [
  ["gaudi-3-128gb", "Intel Gaudi 3", "gaudi", "gaudi 3,hl 325l,hl 338"],
  ["gaudi-2-96gb", "Intel Gaudi 2", "gaudi", "gaudi 2,hl 225"],
  ["max-1550-128gb", "Intel Data Center GPU Max 1550", "ponte-vecchio", "max 1550"],
  ["arc-pro-b60-24gb", "Intel Arc Pro B60", "battlemage", "arc b60", "arc-b60"],
  ["arc-b580-12gb", "Intel Arc B580", "battlemage", "arc b580", "b580"],
  ["arc-a770-16gb", "Intel Arc A770", "alchemist", "arc a770", "a770"],
];

function toModel(vendor: GpuVendor, [slug, name, architecture, devices, aliases = ""]: Row): GpuModel {
  const parts = (text: string) => text.split(",").filter((part) => part !== "");
  const vramGib = Number(/-(\d+)gb$/.exec(slug)?.[1] ?? 0);
  return { slug, name, vendor, architecture, vramGib, aliases: parts(aliases), devices: parts(devices) };
}

/** The catalogue, in the order in which it is shown when nothing else decides. */
export const GPU_MODELS: readonly GpuModel[] = [
  ...NVIDIA.map((row) => toModel("nvidia", row)),
  ...AMD.map((row) => toModel("amd", row)),
  ...APPLE.map((row) => toModel("apple", row)),
  ...INTEL.map((row) => toModel("intel", row)),
  toModel("none", [CPU_SLUG, "CPU only", "cpu", ""]),
];

const MODELS_BY_SLUG: ReadonlyMap<string, GpuModel> = new Map(GPU_MODELS.map((model) => [model.slug, model]));

export function gpuModel(slug: string): GpuModel | undefined {
  return MODELS_BY_SLUG.get(slug);
}

const VENDOR_WORDS = /\b(nvidia|amd|apple|intel|geforce|tesla|radeon|instinct|graphics)\b/g;

/** Case, spaces, punctuation and vendors' names make no difference between two ways to write a model. */
function squash(text: string): string {
  return text
    .toLowerCase()
    .replace(VENDOR_WORDS, " ")
    .replace(/[^a-z0-9]/g, "");
}

/** Every short form of a slug, with the slugs that it could mean. */
function shortForms(formsOf: (model: GpuModel) => readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const slugs = new Map<string, Set<string>>();
  for (const model of GPU_MODELS) {
    for (const form of formsOf(model)) {
      const key = squash(form);
      if (key === "") continue;
      slugs.set(key, (slugs.get(key) ?? new Set()).add(model.slug));
    }
  }
  return slugs;
}

/** From the most exact to the loosest; the first that knows the text with one meaning decides. */
const FORMS = [
  shortForms((model) => [model.slug, model.name, ...model.aliases]),
  shortForms((model) => [model.slug.replace(/-\d+gb$/, "")]),
  shortForms((model) => model.slug.split("-").map((_, index, parts) => parts.slice(0, index + 1).join("-"))),
];

const GPU_TEXT_LENGTH_MAX = 64;

/**
 * Finds the model that a text means: a slug, an alias, or the start of exactly one slug
 * (`h100-sxm` is `h100-sxm-80gb`; `a100` could be four models, so it is none).
 * @returns the slug, or null when no model or more than one is meant
 */
export function resolveGpu(text: string): string | null {
  if (MODELS_BY_SLUG.has(text)) return text;
  if (text.length > GPU_TEXT_LENGTH_MAX) return null;
  const key = squash(text);
  for (const forms of FORMS) {
    const slugs = forms.get(key);
    if (slugs?.size === 1) for (const slug of slugs) return slug;
  }
  return null;
}

/** Drivers keep up to a tenth of the stated memory for themselves (ECC, firmware). */
const VRAM_REPORTED_SHARE_MIN = 0.9;
/** Mobile chips carry a desktop chip's name but not its speed. */
const MOBILE_WORDS = ["laptop", "mobile", "q"];

/**
 * Finds the model of a device from the name that its driver prints (`nvidia-smi`, `rocm-smi`,
 * `system_profiler`). Of models that differ in memory alone it takes the largest that the device fills,
 * so that a slug never promises more than the machine has.
 * @param vramGib memory that the driver reports; for Apple silicon the machine's memory
 * @returns the slug, or null when the device is of no known model
 */
export function gpuFromDevice(vendorName: string, vramGib: number): string | null {
  const words = new Set(
    vendorName
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .filter((word) => word !== ""),
  );
  if (MOBILE_WORDS.some((word) => words.has(word))) return null;
  let best: GpuModel | null = null;
  let bestWords = 0;
  for (const model of GPU_MODELS) {
    for (const device of model.devices) {
      const needed = device.split(" ");
      if (needed.length < bestWords || !needed.every((word) => words.has(word))) continue;
      if (needed.length > bestWords) {
        best = null;
        bestWords = needed.length;
      }
      const fits = model.vramGib * VRAM_REPORTED_SHARE_MIN <= vramGib;
      if (fits && (best === null || model.vramGib > best.vramGib)) best = model;
    }
  }
  return best?.slug ?? null;
}
