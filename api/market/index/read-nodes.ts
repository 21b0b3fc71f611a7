/**
 * Reads machines from the database column by column: the driver would take seconds to make 190,000 objects. The
 * whole network comes in parts, so that neither side holds all of its text at once, and so that the database works
 * on the next part while this one is being read.
 */
import { type SQL, sql } from "drizzle-orm";
import { type Database, rows } from "../../db/database.ts";
import { NetworkIndex } from "./network-index.ts";
import { appendColumns, COORDINATE_STEPS, type NodeColumns, toRecords } from "./node-columns.ts";
import type { NodeRecord } from "./node-record.ts";

/**
 * Where a reader stands in the history of changes: the oldest transaction that was still running when it read. Whatever
 * it could not see yet was written by that transaction or a later one, so reading on from there misses nothing.
 */
export type Position = bigint;

const PARTS = 6;

/** Names that people choose must not break the lines. */
const oneLine = (column: SQL) => sql`replace(${column}, E'\n', ' ')`;
const steps = (column: SQL) => sql`round(${column} * ${sql.raw(String(COORDINATE_STEPS))})::integer::text`;

const COLUMNS: Readonly<Record<Exclude<keyof NodeColumns, "count">, SQL>> = {
  id: sql`nodes.id`,
  supplier_class: sql`suppliers.class`,
  gpu: sql`nodes.gpu`,
  gpus_total: sql`nodes.gpus_total::text`,
  gpus_free: sql`nodes.gpus_free::text`,
  price: sql`nodes.price_micro_usdc_per_gpu_hour::text`,
  country: sql`nodes.country`,
  region: oneLine(sql`nodes.region`),
  latitude: steps(sql`nodes.latitude`),
  longitude: steps(sql`nodes.longitude`),
  interconnect: sql`nodes.interconnect`,
  fabric: oneLine(sql`coalesce(nodes.fabric, '')`),
  reliability: sql`nodes.reliability_ppm::text`,
  isolation: sql`nodes.isolation`,
  cpu_cores: sql`nodes.cpu_cores::text`,
  memory_gib: sql`nodes.memory_gib::text`,
  disk_gib: sql`nodes.disk_gib::text`,
  status: sql`nodes.status`,
};

// Every aggregate sees the rows in the same order, so the columns agree without being sorted.
const AGGREGATES = sql.join(
  Object.entries(COLUMNS).map(
    ([name, column]) => sql`coalesce(string_agg(${column}, E'\n'), '') AS ${sql.identifier(name)}`,
  ),
  sql`, `,
);

type ColumnsRow = NodeColumns & { readonly position: string } & Record<string, unknown>;

async function readColumns(db: Database, where: SQL): Promise<ColumnsRow> {
  const [row] = await rows<ColumnsRow>(
    db,
    sql`SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS position, count(*)::integer AS count, ${AGGREGATES}
        FROM nodes JOIN suppliers ON suppliers.id = nodes.supplier_id WHERE ${where}`,
  );
  if (row === undefined) throw new Error("an aggregate without groups gives one row");
  return row;
}

/** Reads the whole network into a new index. */
export async function readNetwork(db: Database): Promise<{ index: NetworkIndex; position: Position }> {
  const index = new NetworkIndex();
  const readPart = (part: number) =>
    readColumns(db, sql`(hashtext(nodes.id) & 2147483647) % ${sql.raw(String(PARTS))} = ${sql.raw(String(part))}`);
  let next = readPart(0);
  let position: Position | null = null;
  for (let part = 1; part <= PARTS; part++) {
    const columns = await next;
    if (part < PARTS) {
      next = readPart(part);
      // Awaited in the next round; until then a failure must not count as unhandled.
      next.catch(() => undefined);
    }
    // The first part was read first: from its position on, changes to any part are found.
    position ??= BigInt(columns.position);
    appendColumns(index, columns);
  }
  index.sortLists();
  return { index, position: position ?? 0n };
}

/** Reads the machines that changed at or after a position; perhaps some again that were read already. */
export async function readChanges(
  db: Database,
  since: Position,
): Promise<{ records: NodeRecord[]; position: Position }> {
  const columns = await readColumns(db, sql`nodes.change_xid >= ${since.toString()}::bigint`);
  return { records: toRecords(columns), position: BigInt(columns.position) };
}
