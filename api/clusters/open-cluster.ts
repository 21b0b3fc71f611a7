import { VolleyError } from "@volley/schema/errors";
import type { Id } from "@volley/schema/ids";
import { and, eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Executor } from "../db/database.ts";
import { clusters } from "../db/tables.ts";

export type ClusterRow = typeof clusters.$inferSelect;

/** Somebody else's cluster answers exactly as one that doesn't exist. */
export function clusterNotFound(): VolleyError {
  return new VolleyError("not_found", "There is no such cluster, or the credential doesn't open it.", {
    nextAction: "Check the id, and that the credential is the secret that reserving this cluster answered with.",
  });
}

/** The hash of the caller's credential; null for Volley itself, which may see everything. */
export function credentialHash(ctx: Context): string | null {
  switch (ctx.actor.kind) {
    case "system":
      return null;
    case "bearer":
      return ctx.actor.tokenHash;
    case "node":
      throw clusterNotFound();
    case "anonymous":
      throw new VolleyError("unauthenticated", "This needs the cluster's secret.", {
        nextAction: "Send the secret from the answer to reserve as `Authorization: Bearer …`.",
      });
  }
}

/**
 * The cluster, if the caller's credential opens it.
 * @throws {VolleyError} `unauthenticated`, `not_found`
 */
export async function openCluster(ctx: Context, id: Id<"cluster">): Promise<ClusterRow> {
  const secretHash = credentialHash(ctx);
  const [cluster] = await ctx.db
    .select()
    .from(clusters)
    .where(secretHash === null ? eq(clusters.id, id) : and(eq(clusters.id, id), eq(clusters.secretHash, secretHash)));
  if (cluster === undefined) throw clusterNotFound();
  return cluster;
}

/** Nothing more will happen to it but the absence of its machines being observed. */
export function hasEnded(cluster: ClusterRow): boolean {
  return cluster.status === "stopped" || cluster.status === "failed" || cluster.status === "expired";
}

/**
 * Locks the cluster's row and reads it as it is now. First in the order of locks: clusters, payments, leases,
 * nodes, accounts, tasks.
 */
export async function lockCluster(tx: Executor, id: string): Promise<ClusterRow | null> {
  const [cluster] = await tx.select().from(clusters).where(eq(clusters.id, id)).for("no key update");
  return cluster ?? null;
}
