/** The connection to Postgres: the same driver in Node, in Workers (through Hyperdrive) and in tests. */
import { type ExtractTablesWithRelations, type SQL, sql } from "drizzle-orm";
import type { PgTransaction } from "drizzle-orm/pg-core";
import { drizzle, type PostgresJsDatabase, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import * as tables from "./tables.ts";

export type Tables = typeof tables;
export type Database = PostgresJsDatabase<Tables> & { $client: postgres.Sql };
export type Transaction = PgTransaction<PostgresJsQueryResultHKT, Tables, ExtractTablesWithRelations<Tables>>;
/** A verb that can run inside a caller's transaction takes one of these. */
export type Executor = Database | Transaction;

export interface DatabaseOptions {
  /** Connections at most. */
  readonly connectionsMax: number;
  /** A statement that runs longer is cancelled by the server. */
  readonly statementTimeoutMs?: number;
}

export function openDatabase(url: string, options: DatabaseOptions): Database {
  const client = postgres(url, {
    max: options.connectionsMax,
    connect_timeout: 10,
    idle_timeout: 60,
    fetch_types: false,
    prepare: true,
    onnotice: () => undefined,
    ...(options.statementTimeoutMs === undefined
      ? {}
      : { connection: { statement_timeout: options.statementTimeoutMs } }),
  });
  return drizzle(client, { schema: tables });
}

/** Rows of a raw statement. */
export async function rows<Row extends Record<string, unknown>>(executor: Executor, statement: SQL): Promise<Row[]> {
  return [...(await executor.execute(statement))] as unknown as Row[];
}

/** The SQLSTATE and detail of a database error, wherever the driver or drizzle has wrapped it; null for any other. */
export function sqlState(error: unknown): { code: string; detail: string | null; constraint: string | null } | null {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth++) {
    if ("code" in current && typeof current.code === "string" && /^[0-9A-Z]{5}$/.test(current.code)) {
      const detail = "detail" in current && typeof current.detail === "string" ? current.detail : null;
      const constraint =
        "constraint_name" in current && typeof current.constraint_name === "string" ? current.constraint_name : null;
      return { code: current.code, detail, constraint };
    }
  }
  return null;
}

/** Makes a task due by `dueMs` at the latest, in the caller's transaction. */
export async function wake(executor: Executor, kind: tables.TaskKind, id: string, dueMs: number): Promise<void> {
  await executor.execute(sql`SELECT wake(${kind}, ${id}, ${dueMs}::bigint)`);
}
