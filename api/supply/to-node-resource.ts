import { parseId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { Node } from "@volley/schema/resources/node";
import { toTimestamp } from "@volley/schema/time";
import type { nodes } from "../db/tables.ts";

export type NodeRow = typeof nodes.$inferSelect;

export function toNodeResource(row: NodeRow): Node {
  return {
    id: parseId("node", row.id),
    object: "node",
    status: row.status,
    gpu: row.gpu,
    gpus_total: row.gpusTotal,
    gpus_available: row.status === "online" ? row.gpusFree : 0,
    price_per_gpu_hour: toMoney(row.priceMicroUsdcPerGpuHour),
    country: row.country,
    region: row.region,
    interconnect: row.interconnect,
    reliability: row.reliabilityPpm / 1_000_000,
    isolation: row.isolation,
    cpu_cores: row.cpuCores,
    memory_gib: row.memoryGib,
    disk_gib: row.diskGib,
    supplier_id: parseId("supplier", row.supplierId),
    created_at: toTimestamp(row.createdAt),
  };
}
