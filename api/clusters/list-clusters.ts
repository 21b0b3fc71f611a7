import {
  type Cluster,
  decodeCursor,
  encodeCursor,
  type InputOf,
  type Operations,
  type OutputOf,
  VolleyError,
} from "@volley/schema";
import { and, desc, eq, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
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
  const after = input.cursor === undefined ? null : readCursor(input.cursor);
  const found = await ctx.db
    .select()
    .from(clusters)
    .where(
      and(
        opened,
        input.status === undefined ? undefined : eq(clusters.status, input.status),
        after === null
          ? undefined
          : sql`(${clusters.createdAt}, ${clusters.id}) < (${after.createdAtMs}::bigint, ${after.id})`,
      ),
    )
    .orderBy(desc(clusters.createdAt), desc(clusters.id))
    .limit(input.limit + 1);
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    data: await toClusterResources(ctx, page),
    next_cursor: found.length > page.length && last !== undefined ? positionAfter(last.createdAt, last.id) : null,
  };
}

function positionAfter(createdAtMs: number, id: string): string {
  return encodeCursor({ key: String(createdAtMs), id });
}

/** The cursor after which the page that begins with the next cluster is asked for. */
export function clusterCursor(cluster: Cluster): string {
  return positionAfter(Date.parse(cluster.created_at), cluster.id);
}

function readCursor(text: string): { createdAtMs: number; id: string } {
  const position = decodeCursor(text);
  if (position === null || !/^[0-9]{1,15}$/.test(position.key)) {
    throw new VolleyError("invalid_cursor", "The cursor was not issued by this list.", {
      nextAction: "Pass the next_cursor of a page as it is, or leave it out to begin anew.",
    });
  }
  return { createdAtMs: Number(position.key), id: position.id };
}
