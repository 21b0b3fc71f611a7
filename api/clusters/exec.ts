import type { InputOf, Operations, Output } from "@volley/schema";
import { and, eq, isNull } from "drizzle-orm";
import type { Context } from "../context.ts";
import { requireStorableText } from "../db/storable-text.ts";
import { executionRanks } from "../db/tables.ts";
import type { StreamItem } from "../events/stream.ts";
import { watchTopic } from "../events/watch-topic.ts";
import { openCluster } from "./open-cluster.ts";
import { readOutput } from "./read-output.ts";
import { type ExecutionRow, startExecution } from "./start-execution.ts";
import { decodePositions, encodePositions, type Positions, startPositions } from "./stream-positions.ts";

type Exec = Operations["clusters.exec"];

/** How often to look when nothing has hinted at a change. */
const POLL_MS = 500;
/** The machine ends a command that is past its time; when it hasn't said so by then, we do. */
const OVERDUE_MS = 15_000;

/**
 * Runs a command on one rank or all, and streams what it prints, in order within each rank, then one exit per rank.
 * The command outlives the stream: the same Idempotency-Key, or the last event's id, attaches to it again.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `cluster_not_running`, `idempotency_mismatch`,
 * `invalid_cursor`, `invalid_field`, `rate_limited`
 */
export async function* execInCluster(ctx: Context, input: InputOf<Exec>): AsyncGenerator<StreamItem<Output>> {
  requireStorableText(input);
  const cluster = await openCluster(ctx, input.id);
  const execution = await startExecution(ctx, cluster, input);
  const ranks = (await rankStates(ctx, execution)).map((state) => state.rank);
  const positions =
    input.last_event_id === undefined ? startPositions(ranks) : decodePositions(input.last_event_id, ranks).positions;

  while (!ctx.signal.aborted) {
    const watch = watchTopic(ctx, `cluster:${cluster.id}`, POLL_MS);
    try {
      // Exits are read first: what a rank printed before its exit is then there to be read.
      const exits = (await rankStates(ctx, execution)).filter((state) => state.finishedAt !== null);
      const open: Positions = new Map([...positions].filter(([, position]) => !position.exited));
      if (open.size === 0) return;
      const { chunks, more } = await readOutput(ctx, cluster.id, execution.id, open);
      for (const { rank, sequence, output } of chunks) {
        positions.set(rank, { next: sequence + 1, exited: false });
        yield { id: encodePositions(execution.id, positions), data: output };
      }
      if (more) continue;
      for (const { rank, exitCode, reason } of exits) {
        const position = positions.get(rank);
        if (position === undefined || position.exited) continue;
        position.exited = true;
        const data: Output = { type: "exit", rank, data: null, encoding: "utf-8", code: exitCode, reason };
        yield { id: encodePositions(execution.id, positions), data };
      }
      if ([...positions.values()].every((position) => position.exited)) return;
      await closeOverdue(ctx, execution);
      await watch.changed;
    } finally {
      watch.stop();
    }
  }
}

async function rankStates(ctx: Context, execution: ExecutionRow) {
  return ctx.db
    .select()
    .from(executionRanks)
    .where(eq(executionRanks.executionId, execution.id))
    .orderBy(executionRanks.rank);
}

async function closeOverdue(ctx: Context, execution: ExecutionRow): Promise<void> {
  const nowMs = ctx.clock.nowMs();
  if (nowMs < execution.expiresAt + OVERDUE_MS) return;
  await ctx.db
    .update(executionRanks)
    .set({ exitCode: -1, reason: "The command's time was over.", finishedAt: nowMs })
    .where(and(eq(executionRanks.executionId, execution.id), isNull(executionRanks.finishedAt)));
}
