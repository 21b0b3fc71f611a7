import type { OutputChunk } from "@volley/schema/resources/node";
import { and, eq, inArray, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows, type Transaction } from "../db/database.ts";
import { executionRanks, leases, outputChunks } from "../db/tables.ts";
import type { OwnLease } from "./report-node.ts";

/** Output kept of one rank: of its log and its commands together. */
export const OUTPUT_BYTES_PER_RANK_MAX = 64 * 1024 * 1024;
/** What keeping a chunk takes beside its data, so that very many small or empty ones don't slip through. */
export const CHUNK_OVERHEAD_BYTES = 128;
/** The source of what the main process prints; other sources are executions' ids. */
export const LOG_SOURCE = "log";

type ChunkRow = typeof outputChunks.$inferInsert;

const keyOf = (row: Pick<ChunkRow, "clusterId" | "source" | "rank" | "sequence">) =>
  `${row.clusterId} ${row.source} ${row.rank} ${row.sequence}`;

/**
 * Keeps chunks, each once. When a rank's room is used up, a notice takes the place of the chunk that didn't fit, and
 * everything after it is dropped.
 * @param chunks all of leases in `own`, whose rows the caller holds
 * @returns how many were taken in, whether kept now, kept before or dropped for room
 */
export async function storeOutput(
  ctx: Context,
  tx: Transaction,
  own: ReadonlyMap<string, OwnLease>,
  chunks: readonly OutputChunk[],
): Promise<number> {
  if (chunks.length === 0) return 0;
  const accepted = await ofKnownExecutions(tx, chunks);
  const byLease = Map.groupBy(accepted, (chunk) => chunk.lease_id as string);
  for (const [leaseId, sent] of byLease) {
    const lease = own.get(leaseId);
    if (lease === undefined) continue;
    const all = sent.map((chunk) => toRow(ctx, lease, chunk));
    const kept = await keptBefore(tx, all);
    const fresh = all.filter((row) => !kept.has(keyOf(row)));
    const { fitting, outputBytes } = fit(fresh, lease.outputBytes);
    if (fitting.length === 0) continue;
    await tx.insert(outputChunks).values(fitting).onConflictDoNothing();
    await tx.update(leases).set({ outputBytes }).where(eq(leases.id, leaseId));
  }
  return accepted.length;
}

function fit(fresh: readonly ChunkRow[], usedBytes: number): { fitting: ChunkRow[]; outputBytes: number } {
  const fitting: ChunkRow[] = [];
  let outputBytes = usedBytes;
  for (const row of fresh) {
    if (outputBytes >= OUTPUT_BYTES_PER_RANK_MAX) break;
    outputBytes += CHUNK_OVERHEAD_BYTES + Buffer.byteLength(row.data);
    const full = outputBytes >= OUTPUT_BYTES_PER_RANK_MAX;
    fitting.push(full ? { ...row, ...TRUNCATION } : row);
  }
  return { fitting, outputBytes };
}

const TRUNCATION = {
  stream: "stderr",
  data: `\n[volley: this rank has printed more than ${OUTPUT_BYTES_PER_RANK_MAX / 1024 ** 2} MiB; the rest is not kept]\n`,
  encoding: "utf-8",
} as const;

function toRow(ctx: Context, lease: OwnLease, chunk: OutputChunk): ChunkRow {
  // Postgres keeps no NUL in text.
  const isBinary = chunk.encoding === "utf-8" && chunk.data.includes("\0");
  return {
    clusterId: lease.clusterId,
    source: chunk.execution_id ?? LOG_SOURCE,
    rank: lease.rank,
    sequence: chunk.sequence,
    stream: chunk.stream,
    data: isBinary ? Buffer.from(chunk.data).toString("base64") : chunk.data,
    encoding: isBinary ? "base64" : chunk.encoding,
    createdAt: ctx.clock.nowMs(),
  };
}

async function ofKnownExecutions(tx: Transaction, chunks: readonly OutputChunk[]): Promise<OutputChunk[]> {
  const executionIds = [...new Set(chunks.flatMap((chunk) => chunk.execution_id ?? []))];
  if (executionIds.length === 0) return [...chunks];
  const known = await tx
    .select({ executionId: executionRanks.executionId, leaseId: executionRanks.leaseId })
    .from(executionRanks)
    .where(and(inArray(executionRanks.executionId, executionIds)));
  const pairs = new Set(known.map(({ executionId, leaseId }) => `${executionId} ${leaseId}`));
  return chunks.filter(
    (chunk) => chunk.execution_id === undefined || pairs.has(`${chunk.execution_id} ${chunk.lease_id}`),
  );
}

async function keptBefore(tx: Transaction, all: readonly ChunkRow[]): Promise<Set<string>> {
  const [first] = all;
  if (first === undefined) return new Set();
  const wanted = all.map((row) => sql`(${row.source}, ${row.sequence}::integer)`);
  const kept = await rows<{ source: string; sequence: number }>(
    tx,
    sql`SELECT source, sequence FROM output_chunks
        WHERE cluster_id = ${first.clusterId} AND rank = ${first.rank}
          AND (source, sequence) IN (${sql.join(wanted, sql`, `)})`,
  );
  return new Set(kept.map((row) => keyOf({ clusterId: first.clusterId, rank: first.rank, ...row })));
}
