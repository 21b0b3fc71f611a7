import type { Output } from "@volley/schema/resources/cluster";
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows } from "../db/database.ts";
import type { Positions } from "./stream-positions.ts";

/** Chunks read at once: at most some six megabytes. */
const CHUNKS_MAX = 64;

export interface ReadChunk {
  readonly rank: number;
  readonly sequence: number;
  readonly output: Output;
}

/**
 * The next chunks of a source after the positions, in order within each rank.
 * @returns `more` when there may be further ones now
 */
export async function readOutput(
  ctx: Pick<Context, "db">,
  clusterId: string,
  source: string,
  positions: Positions,
): Promise<{ chunks: ReadChunk[]; more: boolean }> {
  const wanted = [...positions].map(([rank, { next }]) => sql`(${rank}::integer, ${next}::integer)`);
  const found = await rows<{
    rank: number;
    sequence: number;
    stream: "stdout" | "stderr";
    data: string;
    encoding: "utf-8" | "base64";
  }>(
    ctx.db,
    sql`SELECT chunk.rank, chunk.sequence, chunk.stream, chunk.data, chunk.encoding
        FROM (VALUES ${sql.join(wanted, sql`, `)}) AS wanted(rank, next)
        CROSS JOIN LATERAL (
          SELECT * FROM output_chunks
          WHERE cluster_id = ${clusterId} AND source = ${source} AND rank = wanted.rank AND sequence >= wanted.next
          ORDER BY sequence LIMIT ${CHUNKS_MAX}
        ) AS chunk
        ORDER BY chunk.sequence - wanted.next, chunk.rank LIMIT ${CHUNKS_MAX}`,
  );
  return {
    chunks: found.map(({ rank, sequence, stream, data, encoding }) => ({
      rank,
      sequence,
      output: { type: stream, rank, data, encoding, code: null, reason: null },
    })),
    more: found.length === CHUNKS_MAX,
  };
}
