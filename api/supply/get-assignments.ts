import { createHash } from "node:crypto";
import {
  type ExecutionRequest,
  type InputOf,
  type LeaseAssignment,
  type Operations,
  type OutputOf,
  parseId,
  toTimestamp,
} from "@volley/schema";
import { and, eq, inArray, isNull, or, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { clusters, executionRanks, executions, leases, nodes } from "../db/tables.ts";
import { watchTopic } from "../events/watch-topic.ts";
import { nodeNotFound, requireNode, useCounter } from "./require-node.ts";

type Get = Operations["nodes.assignments"];
type Work = Pick<OutputOf<Get>, "leases" | "executions">;

/** How often a waiting request looks for a change that nothing has hinted at. */
const POLL_MS = 1_000;
/** For all slots of a machine together; each lease gets its share. */
const PIDS_PER_NODE = 16_384;
const PIDS_MIN = 256;

/**
 * All that should run on the machine, and what should have stopped and isn't known to be gone. With `after` it waits
 * until something differs from that revision.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `node_counter_replayed`
 */
export async function getAssignments(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  const counter = requireNode(ctx, input.id, "assignments");
  await useCounter(ctx.db, "assignments", input.id, counter);
  const untilMs = ctx.clock.nowMs() + input.wait_seconds * 1000;
  for (;;) {
    const leftMs = untilMs - ctx.clock.nowMs();
    const watch = watchTopic(ctx, `node:${input.id}`, Math.min(POLL_MS, Math.max(0, leftMs)));
    const work = await loadWork(ctx, input.id);
    const revision = createHash("sha256").update(JSON.stringify(work)).digest("base64url").slice(0, 22);
    if (revision !== input.after || leftMs <= 0 || ctx.signal.aborted) {
      watch.stop();
      return { object: "assignments", revision, server_time: toTimestamp(ctx.clock.nowMs()), ...work };
    }
    await watch.changed;
  }
}

async function loadWork(ctx: Context, nodeId: string): Promise<Work> {
  const [node] = await ctx.db.select().from(nodes).where(eq(nodes.id, nodeId));
  if (node === undefined) throw nodeNotFound();
  const own = await ctx.db
    .select({ lease: leases, cluster: clusters })
    .from(leases)
    .innerJoin(clusters, eq(clusters.id, leases.clusterId))
    .where(
      and(
        eq(leases.nodeId, nodeId),
        isNull(leases.releasedAt),
        or(eq(leases.desired, "running"), sql`${leases.desired} = 'stopped' AND ${leases.observed} <> 'absent'`),
      ),
    )
    .orderBy(leases.id);
  const peersByCluster = await loadPeers(ctx, [...new Set(own.map(({ cluster }) => cluster.id))]);
  const assignments = own.map(({ lease, cluster }): LeaseAssignment => {
    const peers = peersByCluster.get(cluster.id) ?? [];
    const share = lease.gpus / node.gpusTotal;
    return {
      lease_id: parseId("lease", lease.id),
      cluster_id: parseId("cluster", cluster.id),
      desired: lease.desired === "running" ? "running" : "stopped",
      ends_at: toTimestamp(lease.endsAt ?? 0),
      rank: lease.rank,
      world_size: peers.length,
      slots: lease.slots,
      hostname: lease.hostname,
      peers,
      master_address: peers.find((peer) => peer.rank === 0)?.hostname ?? lease.hostname,
      master_port: cluster.masterPort,
      image: cluster.image,
      startup_script: cluster.startupScript,
      env: cluster.env,
      cpu_cores: node.cpuCores * share,
      memory_mib: Math.floor(node.memoryGib * 1024 * share),
      pids: Math.max(PIDS_MIN, Math.floor(PIDS_PER_NODE * share)),
    };
  });
  const running = assignments.filter((one) => one.desired === "running").map((one) => one.lease_id);
  return { leases: assignments, executions: await loadExecutions(ctx, running) };
}

async function loadPeers(
  ctx: Context,
  clusterIds: readonly string[],
): Promise<Map<string, { rank: number; hostname: string; address: string | null }[]>> {
  if (clusterIds.length === 0) return new Map();
  const found = await ctx.db
    .select({
      clusterId: leases.clusterId,
      rank: leases.rank,
      hostname: leases.hostname,
      address: nodes.advertiseAddress,
    })
    .from(leases)
    .innerJoin(nodes, eq(nodes.id, leases.nodeId))
    .where(inArray(leases.clusterId, [...clusterIds]))
    .orderBy(leases.clusterId, leases.rank);
  const byCluster = new Map<string, { rank: number; hostname: string; address: string | null }[]>();
  for (const { clusterId, ...peer } of found) {
    byCluster.set(clusterId, [...(byCluster.get(clusterId) ?? []), peer]);
  }
  return byCluster;
}

/** Commands that haven't ended yet; one past its time is to be ended by the machine. */
async function loadExecutions(ctx: Context, leaseIds: readonly string[]): Promise<ExecutionRequest[]> {
  if (leaseIds.length === 0) return [];
  const nowMs = ctx.clock.nowMs();
  const open = await ctx.db
    .select({ execution: executions, leaseId: executionRanks.leaseId })
    .from(executionRanks)
    .innerJoin(executions, eq(executions.id, executionRanks.executionId))
    .where(and(inArray(executionRanks.leaseId, [...leaseIds]), isNull(executionRanks.finishedAt)))
    .orderBy(executions.createdAt, executions.id, executionRanks.rank);
  return open.map(({ execution, leaseId }) => ({
    execution_id: parseId("execution", execution.id),
    lease_id: parseId("lease", leaseId),
    command: execution.command,
    stdin: execution.stdin,
    env: execution.env,
    cancelled: execution.expiresAt <= nowMs,
  }));
}
