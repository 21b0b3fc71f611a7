/** The machines of a simulation: few and small, so that renters meet on them. */
import { makeId } from "@volley/schema/ids";
import type postgres from "postgres";
import type { SeededRandom } from "./random.ts";

export const GPUS = ["h100-sxm-80gb", "a100-sxm-80gb", "l4-24gb"] as const;

export interface SimulatedNode {
  readonly id: string;
  readonly gpu: (typeof GPUS)[number];
  readonly gpus: number;
}

const SITES = [
  { country: "DE", region: "eu-central", latitude: 50.1, longitude: 8.7 },
  { country: "US", region: "us-east", latitude: 39.0, longitude: -77.5 },
  { country: "JP", region: "ap-northeast", latitude: 35.7, longitude: 139.7 },
] as const;

/** Writes suppliers and machines. */
export async function buildNetwork(
  database: postgres.Sql,
  random: SeededRandom,
  nowMs: number,
): Promise<SimulatedNode[]> {
  const suppliers = [0, 1].map((index) => ({
    id: makeId("supplier", nowMs, random.bytes(10)),
    name: `supplier ${index}`,
    class: "network",
    created_at: nowMs,
  }));
  await database`INSERT INTO suppliers ${database(suppliers)}`;
  const rows = GPUS.flatMap((gpu) =>
    Array.from({ length: random.whole(2, 3) }, () => {
      const gpus = random.pick([2, 4, 8]);
      return {
        id: makeId("node", nowMs, random.bytes(10)),
        supplier_id: random.pick(suppliers).id,
        adapter: "simulated",
        gpu,
        gpus_total: gpus,
        gpus_free: gpus,
        price_micro_usdc_per_gpu_hour: random.whole(300_000, 4_000_000),
        ...random.pick(SITES),
        interconnect: "ethernet",
        reliability_ppm: random.whole(900_000, 1_000_000),
        isolation: "container",
        cpu_cores: 16,
        memory_gib: 64,
        disk_gib: 500,
        status: "online",
        created_at: nowMs,
      };
    }),
  );
  await database`INSERT INTO nodes ${database(rows)}`;
  return rows.map(({ id, gpu, gpus_total }) => ({ id, gpu, gpus: gpus_total }));
}
