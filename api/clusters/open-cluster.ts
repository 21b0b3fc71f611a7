import { VolleyError } from "@volley/schema/errors";
import type { Id } from "@volley/schema/ids";
import { and, eq, inArray, or, type SQL } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Executor } from "../db/database.ts";
import { clusters } from "../db/tables.ts";
import { accountOfSession } from "../identity/account-of-session.ts";

export type ClusterRow = typeof clusters.$inferSelect;

/** Somebody else's cluster answers exactly as one that doesn't exist. */
export function clusterNotFound(): VolleyError {
  return new VolleyError("not_found", "There is no such cluster, or the credential doesn't open it.", {
    nextAction: "Check the id, and that the credential is the secret of this cluster or a session of its account.",
  });
}

/**
 * The condition under which the caller's credential opens a cluster: its secret, or a session of the account that
 * reserved it. Undefined for Volley itself, which may see everything.
 * @throws {VolleyError} `unauthenticated`
 */
export function opensCluster(ctx: Context): SQL | undefined {
  switch (ctx.actor.kind) {
    case "system":
      return undefined;
    case "bearer": {
      const { tokenHash } = ctx.actor;
      return or(eq(clusters.secretHash, tokenHash), inArray(clusters.customerId, accountOfSession(ctx, tokenHash)));
    }
    case "node":
      throw clusterNotFound();
    case "anonymous":
      throw new VolleyError("unauthenticated", "This needs the cluster's secret, or its account's session.", {
        nextAction: "Send the secret from the answer to reserve, or a session's token, as `Authorization: Bearer …`.",
      });
  }
}

/**
 * The cluster, if the caller's credential opens it.
 * @throws {VolleyError} `unauthenticated`, `not_found`
 */
export async function openCluster(ctx: Context, id: Id<"cluster">): Promise<ClusterRow> {
  const [cluster] = await ctx.db
    .select()
    .from(clusters)
    .where(and(eq(clusters.id, id), opensCluster(ctx)));
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
