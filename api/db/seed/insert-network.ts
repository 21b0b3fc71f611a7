/** Writes a generated network, all of it or nothing: a few thousand machines per statement, column by column. */
import postgres from "postgres";
import { type SeedNode, type SeedOptions, type SeedSupplier, seedNodes, seedSuppliers } from "./network.ts";

/** Statements stay at a few megabytes. */
const ROWS_PER_STATEMENT = 5000;
const UNIQUE_VIOLATION = "23505";

export class NetworkExistsError extends Error {
  constructor(seed: number, cause: unknown) {
    super(`The network of seed ${seed} is in this database already. Choose another with --seed.`, { cause });
  }
}

function* inBatches<Item>(items: Iterable<Item>): Generator<Item[]> {
  let batch: Item[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length === ROWS_PER_STATEMENT) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

async function insertSuppliers(
  sql: postgres.TransactionSql,
  suppliers: readonly SeedSupplier[],
  createdAtMs: number,
): Promise<void> {
  const ids = suppliers.map((supplier) => supplier.id);
  const names = suppliers.map((supplier) => supplier.name);
  const classes = suppliers.map((supplier) => supplier.supplierClass);
  await sql`
    INSERT INTO suppliers (id, name, class, created_at)
    SELECT id, name, class, ${createdAtMs}::bigint
    FROM unnest(${ids}::text[], ${names}::text[], ${classes}::text[]) AS made (id, name, class)`;
}

async function insertNodes(
  sql: postgres.TransactionSql,
  nodes: readonly SeedNode[],
  createdAtMs: number,
): Promise<void> {
  const column = <Name extends keyof SeedNode>(name: Name) => nodes.map((node) => node[name]);
  await sql`
    INSERT INTO nodes
      (id, supplier_id, adapter, gpu, gpus_total, gpus_free, price_micro_usdc_per_gpu_hour, country, region, latitude,
       longitude, interconnect, fabric, reliability_ppm, isolation, cpu_cores, memory_gib, disk_gib, status, created_at)
    SELECT
      id, supplier_id, 'simulated', gpu, gpus_total, gpus_free, price, country, region, latitude,
      longitude, interconnect, fabric, reliability_ppm, isolation, cpu_cores, memory_gib, disk_gib, status,
      ${createdAtMs}::bigint
    FROM unnest(
      ${column("id")}::text[], ${column("supplierId")}::text[], ${column("gpu")}::text[],
      ${column("gpusTotal")}::int[], ${column("gpusFree")}::int[], ${column("priceMicroUsdcPerGpuHour")}::bigint[],
      ${column("country")}::text[], ${column("region")}::text[], ${column("latitude")}::float8[],
      ${column("longitude")}::float8[], ${column("interconnect")}::text[], ${column("fabric")}::text[],
      ${column("reliabilityPpm")}::int[], ${column("isolation")}::text[], ${column("cpuCores")}::int[],
      ${column("memoryGib")}::int[], ${column("diskGib")}::int[], ${column("status")}::text[]
    ) AS made (id, supplier_id, gpu, gpus_total, gpus_free, price, country, region, latitude, longitude, interconnect,
               fabric, reliability_ppm, isolation, cpu_cores, memory_gib, disk_gib, status)`;
}

/** @throws {NetworkExistsError} when the same seed was inserted before */
export async function insertNetwork(
  url: string,
  options: SeedOptions,
  createdAtMs: number,
): Promise<{ gpus: number; suppliers: number }> {
  const suppliers = seedSuppliers(options);
  let gpus = 0;
  const client = postgres(url, { max: 1, onnotice: () => undefined, connect_timeout: 10 });
  try {
    await client.begin(async (sql) => {
      for (const batch of inBatches(suppliers)) await insertSuppliers(sql, batch, createdAtMs);
      for (const batch of inBatches(seedNodes(options))) {
        await insertNodes(sql, batch, createdAtMs);
        for (const node of batch) gpus += node.gpusTotal;
      }
    });
    await client`ANALYZE nodes`;
  } catch (error) {
    const isDuplicate = error instanceof Error && "code" in error && error.code === UNIQUE_VIOLATION;
    throw isDuplicate ? new NetworkExistsError(options.seed, error) : error;
  } finally {
    await client.end({ timeout: 5 });
  }
  return { gpus, suppliers: suppliers.length };
}
