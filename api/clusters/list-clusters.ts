import type { Cluster, InputOf, Operations, OutputOf } from "@volley/schema";
import { and, desc, eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { isAfter, momentCursor, readMomentCursor } from "../db/moment-cursor.ts";
import { clusters } from "../db/tables.ts";
import { opensCluster } from "./open-cluster.ts";
import { toClusterResources } from "./to-cluster-resource.ts";

type List = Operations["clusters.list"];

/**
 * The clusters that the credential opens, newest first.
 * @throws {VolleyError} `unauthenticated`, `invalid_cursor`
 */
export async function listClusters(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const opened = opensCluster(ctx);
  const after = readMomentCursor(input.cursor);
  const found = await ctx.db
    .select()
    .from(clusters)
    .where(
      and(
        opened,
        input.status === undefined ? undefined : eq(clusters.status, input.status),
        isAfter(clusters.createdAt, clusters.id, after),
      ),
    )
    .orderBy(desc(clusters.createdAt), desc(clusters.id))
    .limit(input.limit + 1);
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    data: await toClusterResources(ctx, page),
    next_cursor: found.length > page.length && last !== undefined ? momentCursor(last.createdAt, last.id) : null,
  };
}

/** The cursor after which the page that begins with the next cluster is asked for. */
export function clusterCursor(cluster: Cluster): string {
  return momentCursor(Date.parse(cluster.created_at), cluster.id);
}
