import type { Interconnect, Isolation, SupplierClass } from "@volley/schema/resources/market";

/** What the market knows of one machine, as the database tells it. */
export interface NodeRecord {
  readonly id: string;
  readonly supplierClass: SupplierClass;
  /** Slug of the model. */
  readonly gpu: string;
  readonly gpusTotal: number;
  readonly gpusFree: number;
  /** A whole number; the index keeps prices as doubles, exact up to 2^53 micro-USDC. */
  readonly priceMicroUsdcPerGpuHour: number;
  readonly country: string;
  readonly region: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly interconnect: Interconnect;
  /** Machines with the same fabric share a low-latency network; null for machines on their own. */
  readonly fabric: string | null;
  readonly reliabilityPpm: number;
  readonly isolation: Isolation;
  readonly cpuCores: number;
  readonly memoryGib: number;
  readonly diskGib: number;
  readonly status: "online" | "offline" | "draining";
}
