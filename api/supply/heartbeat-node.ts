import { type InputOf, type Operations, type OutputOf, toTimestamp } from "@volley/schema";
import { eq, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows } from "../db/database.ts";
import { nodes } from "../db/tables.ts";
import {
  applyLeaseChanges,
  clustersOnNode,
  type NodeLease,
  notifyClusters,
  wakeClusters,
} from "./apply-lease-changes.ts";
import { counterReplayed, requireNode } from "./require-node.ts";
import { type LeaseChange, weighOmission, weighSighting } from "./weigh-observation.ts";

type Heartbeat = Operations["nodes.heartbeat"];

/** A lease that was left out by heartbeats for this many intervals is gone. */
const ABSENCE_INTERVALS = 2;

/**
 * Keeps the machine online and takes in what runs on it. When nothing has changed, and that is nearly always, it is
 * one statement that touches the node's session alone.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `node_counter_replayed`
 */
export async function heartbeatNode(ctx: Context, input: InputOf<Heartbeat>): Promise<OutputOf<Heartbeat>> {
  const counter = requireNode(ctx, input.id, "heartbeat");
  const nowMs = ctx.clock.nowMs();
  const intervalSeconds = ctx.settings.heartbeatIntervalSeconds;
  const [session] = await rows<{ status: string; seen_before: string; leases: NodeLease[] | null }>(
    ctx.db,
    sql`WITH before AS (SELECT last_seen_at FROM node_sessions WHERE node_id = ${input.id}),
        used AS (
          UPDATE node_sessions SET heartbeat_counter = ${counter}::bigint, last_seen_at = ${nowMs}::bigint
          WHERE node_id = ${input.id} AND heartbeat_counter < ${counter}::bigint RETURNING node_id
        )
        SELECT nodes.status, before.last_seen_at AS seen_before, (
          SELECT jsonb_agg(jsonb_build_object(
            'id', id, 'clusterId', cluster_id, 'desired', desired, 'observed', observed, 'observedAt', observed_at,
            'unseenSince', unseen_since, 'reason', reason, 'exitCode', exit_code))
          FROM leases WHERE node_id = nodes.id AND released_at IS NULL
        ) AS leases
        FROM used JOIN nodes ON nodes.id = used.node_id, before`,
  );
  if (session === undefined) throw counterReplayed("heartbeat");

  const seen = new Map(input.leases.map((one) => [one.lease_id as string, one]));
  const seenBeforeMs = Number(session.seen_before);
  const weigh = (lease: NodeLease): LeaseChange | null => {
    const sighting = seen.get(lease.id);
    return sighting === undefined
      ? weighOmission(lease, nowMs, seenBeforeMs, ABSENCE_INTERVALS * intervalSeconds * 1000)
      : weighSighting(lease, sighting, nowMs);
  };
  const changed = (session.leases ?? []).filter((lease) => weigh(lease) !== null).map((lease) => lease.id);
  const status = input.draining ? "draining" : "online";
  if (changed.length > 0 || session.status !== status) {
    const clusterIds = await ctx.db.transaction(async (tx) => {
      const concerned = await applyLeaseChanges(ctx, tx, input.id, changed, weigh);
      if (session.status === status) return concerned;
      await tx
        .update(nodes)
        .set({ status, changeXid: sql`(pg_current_xact_id()::text)::bigint` })
        .where(eq(nodes.id, input.id));
      // What was to stop while the machine was away can be seen to have stopped now.
      return wakeClusters(ctx, tx, [...concerned, ...(await clustersOnNode(tx, input.id))]);
    });
    notifyClusters(ctx, clusterIds);
  }
  return {
    object: "node_heartbeat",
    server_time: toTimestamp(ctx.clock.nowMs()),
    status,
    interval_seconds: intervalSeconds,
  };
}
