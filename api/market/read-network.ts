import type { Database } from "../db/database.ts";
import type { NodeRecord } from "./index/node-record.ts";

/**
 * A row as the driver gives it, as a tuple: at 190,000 machines names per row would cost more than the data.
 * The order is that of the columns in the statements below.
 */
type Row = [
  id: string,
  supplierClass: NodeRecord["supplierClass"],
  gpu: string,
  gpusTotal: number,
  gpusFree: number,
  price: string,
  country: string,
  region: string,
  latitude: number,
  longitude: number,
  interconnect: NodeRecord["interconnect"],
  fabric: string | null,
  reliabilityPpm: number,
  isolation: NodeRecord["isolation"],
  cpuCores: number,
  memoryGib: number,
  diskGib: number,
  status: NodeRecord["status"],
];

function toRecord(row: Row): NodeRecord {
  return {
    id: row[0],
    supplierClass: row[1],
    gpu: row[2],
    gpusTotal: row[3],
    gpusFree: row[4],
    priceMicroUsdcPerGpuHour: Number(row[5]),
    country: row[6],
    region: row[7],
    latitude: row[8],
    longitude: row[9],
    interconnect: row[10],
    fabric: row[11],
    reliabilityPpm: row[12],
    isolation: row[13],
    cpuCores: row[14],
    memoryGib: row[15],
    diskGib: row[16],
    status: row[17],
  };
}

/**
 * Reads the network, or what has changed in it.
 * @param since what the last call answered; null reads everything
 * @returns the machines, and the oldest transaction that was still running before they were read: whatever commits
 * later carries that number or a higher one, so the next call misses nothing
 */
export async function readNetwork(
  db: Database,
  since: bigint | null,
): Promise<{ records: NodeRecord[]; oldestRunningXid: bigint }> {
  const sql = db.$client;
  const [snapshot] = await sql<[{ xmin: string }]>`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin`;
  const columns = sql`
    SELECT n.id, s.class, n.gpu, n.gpus_total, n.gpus_free, n.price_micro_usdc_per_gpu_hour::text, n.country, n.region,
           n.latitude, n.longitude, n.interconnect, n.fabric, n.reliability_ppm, n.isolation, n.cpu_cores,
           n.memory_gib, n.disk_gib, n.status
    FROM nodes AS n JOIN suppliers AS s ON s.id = n.supplier_id`;
  const rows =
    since === null
      ? await sql`${columns}`.values()
      : await sql`${columns} WHERE n.change_xid >= ${since.toString()}::bigint`.values();
  return { records: (rows as unknown as Row[]).map(toRecord), oldestRunningXid: BigInt(snapshot.xmin) };
}
