import { VolleyError } from "@volley/schema/errors";
import type { Id } from "@volley/schema/ids";
import type { NodeChannel } from "@volley/schema/node-signature";
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type Executor, rows } from "../db/database.ts";

/**
 * The counter of the caller's proof, if the caller is this node. A node sees nothing of other nodes.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `node_signature_invalid` for a proof of another channel
 */
export function requireNode(ctx: Context, nodeId: Id<"node">, channel: NodeChannel): number {
  if (ctx.actor.kind !== "node") {
    throw new VolleyError("unauthenticated", "Only the machine itself may do this.", {
      nextAction: "Sign the request with the key that the machine enrolled with.",
    });
  }
  if (ctx.actor.nodeId !== nodeId) throw nodeNotFound();
  if (ctx.actor.channel !== channel) {
    throw new VolleyError("node_signature_invalid", `The proof names the channel "${ctx.actor.channel}".`, {
      nextAction: `Sign this request with the channel "${channel}" and its counter.`,
    });
  }
  return ctx.actor.counter;
}

export function nodeNotFound(): VolleyError {
  return new VolleyError("not_found", "There is no such node.", { nextAction: "Check the id." });
}

const COUNTER_COLUMNS = {
  heartbeat: sql.raw("heartbeat_counter"),
  assignments: sql.raw("assignments_counter"),
  report: sql.raw("report_counter"),
} as const satisfies Record<NodeChannel, unknown>;

/**
 * Uses the counter up: one that isn't above the last is a replay. Holds the session's row in a transaction.
 * @throws {VolleyError} `node_counter_replayed`
 */
export async function useCounter(
  executor: Executor,
  channel: NodeChannel,
  nodeId: Id<"node">,
  counter: number,
): Promise<void> {
  const column = COUNTER_COLUMNS[channel];
  const used = await rows(
    executor,
    sql`UPDATE node_sessions SET ${column} = ${counter}::bigint
        WHERE node_id = ${nodeId} AND ${column} < ${counter}::bigint RETURNING 1 AS used`,
  );
  if (used.length === 0) throw counterReplayed(channel);
}

export function counterReplayed(channel: NodeChannel): VolleyError {
  return new VolleyError("node_counter_replayed", `This ${channel} counter, or a higher one, was used before.`, {
    nextAction: "Sign the request again with a higher counter.",
  });
}
