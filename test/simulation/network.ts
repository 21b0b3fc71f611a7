/** The machines of a simulation: few and small, so that renters meet on them. */
import { makeId } from "@volley/schema/ids";
import type postgres from "postgres";
import { decodeBase58 } from "../../api/local/chain/bytes.ts";
import { type ChainKey, deriveKey } from "../../api/local/chain/keys.ts";
import type { SeededRandom } from "./random.ts";

export const GPUS = ["h100-sxm-80gb", "a100-sxm-80gb", "l4-24gb"] as const;

export interface SimulatedNode {
  readonly id: string;
  readonly gpu: (typeof GPUS)[number];
  readonly gpus: number;
  /** The key of the agent that runs on it; null for a machine of a cloud. */
  readonly agentKey: ChainKey | null;
}

const SITES = [
  { country: "DE", region: "eu-central", latitude: 50.1, longitude: 8.7 },
  { country: "US", region: "us-east", latitude: 39.0, longitude: -77.5 },
  { country: "JP", region: "ap-northeast", latitude: 35.7, longitude: 139.7 },
] as const;

/** Machines of this model have agents, in runs that have agents at all. */
const AGENT_GPU = GPUS[2];

/** Writes suppliers and machines. */
export async function buildNetwork(
  database: postgres.Sql,
  random: SeededRandom,
  nowMs: number,
  withAgents: boolean,
): Promise<SimulatedNode[]> {
  const suppliers = [0, 1].map((index) => ({
    id: makeId("supplier", nowMs, random.bytes(10)),
    name: `supplier ${index}`,
    class: "network",
    created_at: nowMs,
  }));
  await database`INSERT INTO suppliers ${database(suppliers)}`;
  const machines = GPUS.flatMap((gpu) =>
    Array.from({ length: random.whole(2, 3) }, () => {
      const gpus = random.pick([2, 4, 8]);
      const agentKey = withAgents && gpu === AGENT_GPU ? deriveKey(`${random.whole(0, 2 ** 31)}`, "agent") : null;
      const row = {
        id: makeId("node", nowMs, random.bytes(10)),
        supplier_id: random.pick(suppliers).id,
        adapter: agentKey === null ? "simulated" : "agent",
        public_key: agentKey === null ? null : Buffer.from(decodeBase58(agentKey.address)).toString("base64url"),
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
      return { row, agentKey };
    }),
  );
  const rows = machines.map(({ row }) => row);
  await database`INSERT INTO nodes ${database(rows)}`;
  const sessions = rows
    .filter((row) => row.adapter === "agent")
    .map(({ id }) => ({ node_id: id, last_seen_at: nowMs }));
  if (sessions.length > 0) await database`INSERT INTO node_sessions ${database(sessions)}`;
  return machines.map(({ row: { id, gpu, gpus_total }, agentKey }) => ({ id, gpu, gpus: gpus_total, agentKey }));
}
