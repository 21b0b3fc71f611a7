/** How the 60 models of a seeded network are offered: in which machines, how often, and for how much. */
import type { Interconnect } from "@volley/schema/resources/market";

export type MachineKind = "mac" | "home" | "server";

export interface ModelSupply {
  readonly gpu: string;
  readonly kind: MachineKind;
  /** Typical price of a GPU hour. */
  readonly priceMicroUsdc: number;
  /** Share of machines of that size relative to the other models; sizes that are missing aren't offered. */
  readonly weights: Readonly<Partial<Record<MachineSize, number>>>;
  /** What links such machines to each other where they stand together. */
  readonly link: Exclude<Interconnect, "ethernet"> | null;
}

/** GPUs in one machine. */
export type MachineSize = 1 | 2 | 4 | 8;

type Row = readonly [
  gpu: string,
  kind: MachineKind,
  cents: number,
  weights: ModelSupply["weights"],
  link?: ModelSupply["link"],
];

const ROWS: readonly Row[] = [
  ["b300-sxm-288gb", "server", 520, { 8: 20 }, "infiniband"],
  ["b200-sxm-180gb", "server", 410, { 8: 70 }, "infiniband"],
  ["h200-sxm-141gb", "server", 290, { 8: 110 }, "infiniband"],
  ["h100-sxm-80gb", "server", 215, { 8: 190 }, "infiniband"],
  ["h20-96gb", "server", 110, { 8: 40 }, "infiniband"],
  ["a100-sxm-80gb", "server", 125, { 8: 100 }, "infiniband"],
  ["a100-sxm-40gb", "server", 85, { 8: 45 }, "roce"],
  ["v100-sxm-32gb", "server", 24, { 8: 25 }, "infiniband"],
  ["mi355x-288gb", "server", 290, { 8: 15 }, "roce"],
  ["mi325x-256gb", "server", 225, { 8: 15 }, "roce"],
  ["mi300x-192gb", "server", 185, { 8: 45 }, "roce"],
  ["gaudi-3-128gb", "server", 150, { 8: 8 }, "roce"],
  ["gaudi-2-96gb", "server", 90, { 8: 7 }, "roce"],
  ["h200-nvl-141gb", "server", 260, { 8: 18, 4: 10 }],
  ["h100-nvl-94gb", "server", 200, { 8: 18, 4: 10 }],
  ["h100-pcie-80gb", "server", 185, { 8: 40, 4: 25, 1: 6 }],
  ["a100-pcie-80gb", "server", 100, { 8: 35, 4: 35, 1: 6 }],
  ["l40s-48gb", "server", 75, { 8: 70, 4: 40 }],
  ["l40-48gb", "server", 65, { 8: 20, 4: 15 }],
  ["a40-48gb", "server", 38, { 8: 25, 4: 20 }],
  ["rtx-pro-6000-96gb", "server", 130, { 8: 25, 4: 15, 1: 5 }],
  ["rtx-6000-ada-48gb", "server", 72, { 8: 25, 4: 25, 2: 10 }],
  ["rtx-a6000-48gb", "server", 42, { 8: 25, 4: 30, 2: 10 }],
  ["rtx-a5000-24gb", "server", 21, { 8: 15, 4: 15, 2: 5 }],
  ["rtx-5090-32gb", "home", 58, { 8: 45, 4: 30, 2: 40, 1: 70 }],
  ["rtx-4090-24gb", "home", 34, { 8: 90, 4: 60, 2: 90, 1: 110 }],
  ["rtx-3090-24gb", "home", 19, { 8: 40, 4: 30, 2: 60, 1: 70 }],
  ["mi250x-64gb", "server", 70, { 8: 15 }, "infiniband"],
  ["gb300-288gb", "server", 560, { 4: 20 }, "nvlink"],
  ["gb200-192gb", "server", 460, { 4: 60 }, "nvlink"],
  ["mi300a-128gb", "server", 150, { 4: 12 }, "infiniband"],
  ["a100-pcie-40gb", "server", 75, { 4: 30, 1: 8 }],
  ["l4-24gb", "server", 38, { 4: 40, 1: 20 }],
  ["a10-24gb", "server", 33, { 4: 25, 1: 8 }],
  ["a10g-24gb", "server", 36, { 4: 15, 1: 8 }],
  ["t4-16gb", "server", 14, { 4: 35, 1: 20 }],
  ["a30-24gb", "server", 28, { 4: 12 }],
  ["max-1550-128gb", "server", 80, { 4: 6 }, "infiniband"],
  ["mi210-64gb", "server", 48, { 4: 12 }],
  ["gh200-96gb", "server", 150, { 1: 12 }],
  ["rtx-a4000-16gb", "home", 12, { 2: 5, 1: 10 }],
  ["rtx-5080-16gb", "home", 28, { 2: 8, 1: 35 }],
  ["rtx-5070-ti-16gb", "home", 22, { 1: 30 }],
  ["rtx-4080-super-16gb", "home", 22, { 2: 6, 1: 35 }],
  ["rtx-4070-12gb", "home", 14, { 1: 45 }],
  ["rtx-4060-ti-16gb", "home", 12, { 1: 35 }],
  ["rtx-3080-10gb", "home", 10, { 2: 10, 1: 45 }],
  ["rtx-3060-12gb", "home", 6, { 2: 8, 1: 55 }],
  ["rx-7900-xtx-24gb", "home", 22, { 2: 6, 1: 25 }],
  ["rx-9070-xt-16gb", "home", 18, { 1: 15 }],
  ["arc-b580-12gb", "home", 7, { 1: 10 }],
  ["m1-8gb", "mac", 2, { 1: 45 }],
  ["m2-24gb", "mac", 4, { 1: 35 }],
  ["m2-ultra-192gb", "mac", 45, { 1: 18 }, "thunderbolt"],
  ["m3-max-128gb", "mac", 32, { 1: 35 }],
  ["m3-ultra-512gb", "mac", 95, { 1: 18 }, "thunderbolt"],
  ["m4-16gb", "mac", 4, { 1: 80 }],
  ["m4-pro-48gb", "mac", 14, { 1: 40 }],
  ["m4-max-36gb", "mac", 18, { 1: 25 }],
  ["m4-max-128gb", "mac", 36, { 1: 25 }, "thunderbolt"],
];

export const MODEL_SUPPLY: readonly ModelSupply[] = ROWS.map(([gpu, kind, cents, weights, link = null]) => ({
  gpu,
  kind,
  priceMicroUsdc: cents * 10_000,
  weights,
  link,
}));
