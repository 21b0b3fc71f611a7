import { parseId } from "@volley/schema/ids";
import type { ClusterNode, ClusterStatus } from "@volley/schema/resources/cluster";
import { toTimestamp } from "@volley/schema/time";
import { eq, inArray } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { clusters, leases, nodes } from "../db/tables.ts";

export type LeaseRow = typeof leases.$inferSelect;

/** The ranks of many clusters in one statement; every asked id has its list, in order of rank. */
export async function loadClusterNodes(
  ctx: { readonly db: Executor },
  clusterIds: readonly string[],
): Promise<Map<string, ClusterNode[]>> {
  const byCluster = new Map<string, ClusterNode[]>(clusterIds.map((id) => [id, []]));
  if (clusterIds.length === 0) return byCluster;
  const found = await ctx.db
    .select({
      lease: leases,
      status: clusters.status,
      gpu: nodes.gpu,
      country: nodes.country,
      region: nodes.region,
    })
    .from(leases)
    .innerJoin(clusters, eq(clusters.id, leases.clusterId))
    .innerJoin(nodes, eq(nodes.id, leases.nodeId))
    .where(inArray(leases.clusterId, [...clusterIds]))
    .orderBy(leases.clusterId, leases.rank);
  for (const { lease, status, gpu, country, region } of found) {
    byCluster.get(lease.clusterId)?.push({
      rank: lease.rank,
      node_id: parseId("node", lease.nodeId),
      status: toNodeStatus(lease, status),
      hostname: lease.hostname,
      gpu,
      gpus: lease.gpus,
      country,
      region,
      ready_at: lease.readyAt === null ? null : toTimestamp(lease.readyAt),
      exit_code: lease.exitCode,
      reason: lease.reason,
    });
  }
  return byCluster;
}

function toNodeStatus(lease: LeaseRow, clusterStatus: ClusterStatus): ClusterNode["status"] {
  switch (lease.desired) {
    case "reserved":
      return lease.releasedAt === null ? "reserved" : "stopped";
    case "running":
      if (lease.observed === "ready" || lease.observed === "exited") return lease.observed;
      return lease.observed === "failed" || lease.observed === "absent" ? "failed" : "starting";
    case "stopped":
      if (lease.releasedAt === null && lease.observed !== "absent") return "stopping";
      return clusterStatus === "failed" ? "failed" : "stopped";
  }
}
