import type { Cluster, Quote } from "@volley/schema";
import { and, inArray } from "drizzle-orm";
import type { Context } from "../context.ts";
import { clusters } from "../db/tables.ts";
import { opensCluster } from "./open-cluster.ts";
import { toClusterResources } from "./to-cluster-resource.ts";

/** Many clusters by id; those that the credential doesn't open are left out. */
export async function loadClusters(ctx: Context, ids: readonly string[]): Promise<Map<string, Cluster>> {
  const found = await readOwn(ctx, ids);
  return new Map((await toClusterResources(ctx, found)).map((cluster) => [cluster.id, cluster]));
}

/** The quotes that clusters were reserved with, by the cluster's id. */
export async function loadClusterQuotes(ctx: Context, ids: readonly string[]): Promise<Map<string, Quote>> {
  return new Map((await readOwn(ctx, ids)).map((cluster) => [cluster.id, cluster.quote]));
}

async function readOwn(ctx: Context, ids: readonly string[]): Promise<(typeof clusters.$inferSelect)[]> {
  return ctx.db
    .select()
    .from(clusters)
    .where(and(inArray(clusters.id, [...ids]), opensCluster(ctx)));
}
