/**
 * Reads machines from the database column by column, as bytes: the driver would take seconds to make 190,000
 * objects. The whole network comes in parts, so that neither side holds all of its text at once; the database works on
 * the next part while this one is being read.
 */
import type { Database } from "../../db/database.ts";
import { NetworkIndex } from "./network-index.ts";
import {
  appendColumns,
  COLUMN_NAMES,
  COORDINATE_STEPS,
  type ColumnName,
  type NodeColumns,
  toRecords,
} from "./node-columns.ts";
import type { NodeRecord } from "./node-record.ts";

/**
 * Where a reader stands in the history of changes: the oldest transaction that was still running when it read. Whatever
 * it could not see yet was written by that transaction or a later one, so reading on from there misses nothing.
 */
export type Position = bigint;

/** A few megabytes of text each. */
const ROWS_PER_PART = 32_768;

/** Names that people choose must not break the lines. */
const oneLine = (column: string) => `replace(${column}, E'\\n', ' ')`;
/** Whole steps are printed in a third of the time that doubles take. */
const steps = (column: string) => `round(${column} * ${COORDINATE_STEPS})::integer::text`;

const COLUMNS: Readonly<Record<ColumnName, string>> = {
  id: "nodes.id",
  supplier_class: "suppliers.class",
  gpu: "nodes.gpu",
  gpus_total: "nodes.gpus_total::text",
  gpus_free: "nodes.gpus_free::text",
  price: "nodes.price_micro_usdc_per_gpu_hour::text",
  country: "nodes.country",
  region: oneLine("nodes.region"),
  latitude: steps("nodes.latitude"),
  longitude: steps("nodes.longitude"),
  interconnect: "nodes.interconnect",
  fabric: oneLine("coalesce(nodes.fabric, '')"),
  reliability: "nodes.reliability_ppm::text",
  isolation: "nodes.isolation",
  cpu_cores: "nodes.cpu_cores::text",
  memory_gib: "nodes.memory_gib::text",
  disk_gib: "nodes.disk_gib::text",
  status: "nodes.status",
};

// Every aggregate sees the rows in the same order, so the columns agree without being sorted.
const SELECT = `SELECT pg_snapshot_xmin(pg_current_snapshot())::text, count(*)::text, coalesce(max(nodes.id), ''),
  ${COLUMN_NAMES.map((name) => `coalesce(string_agg(${COLUMNS[name]}, E'\\n'), '')`).join(", ")}`;
const JOIN = "JOIN suppliers ON suppliers.id = nodes.supplier_id";
/** By id, which never changes: a machine that changes between two parts is in one of them all the same. */
const PART = `${SELECT} FROM (SELECT * FROM nodes WHERE id > $1 ORDER BY id LIMIT ${ROWS_PER_PART}) AS nodes ${JOIN}`;
const CHANGES = `${SELECT} FROM nodes ${JOIN} WHERE nodes.change_xid >= $1::bigint`;

interface ColumnsRead extends NodeColumns {
  readonly position: Position;
  readonly lastId: string;
}

async function readColumns(db: Database, statement: string, parameter: string): Promise<ColumnsRead> {
  const [row] = await db.$client.unsafe(statement, [parameter], { prepare: true }).raw();
  if (row === undefined) throw new Error("an aggregate without groups gives one row");
  const [position, count, lastId, ...columns] = row as Buffer[];
  const texts = Object.fromEntries(
    COLUMN_NAMES.map((name, at) => [name, columns[at] as Uint8Array]),
  ) as NodeColumns["texts"];
  return { position: BigInt(String(position)), count: Number(count), lastId: String(lastId), texts };
}

/** Reads the whole network into a new index. */
export async function readNetwork(db: Database): Promise<{ index: NetworkIndex; position: Position }> {
  const index = new NetworkIndex();
  let part = await readColumns(db, PART, "");
  // From the first part's position on, changes to any part are found.
  const { position } = part;
  while (part.count === ROWS_PER_PART) {
    const next = readColumns(db, PART, part.lastId);
    // Awaited below; until then a failure must not count as unhandled.
    next.catch(() => undefined);
    appendColumns(index, part);
    part = await next;
  }
  appendColumns(index, part);
  index.sortLists();
  return { index, position };
}

/** Reads the machines that changed at or after a position; perhaps some again that were read already. */
export async function readChanges(
  db: Database,
  since: Position,
): Promise<{ records: NodeRecord[]; position: Position }> {
  const columns = await readColumns(db, CHANGES, since.toString());
  return { records: toRecords(columns), position: columns.position };
}
