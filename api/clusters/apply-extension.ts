import { toTimestamp } from "@volley/schema/time";
import { and, eq, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type Transaction, wake } from "../db/database.ts";
import { clusters, leases, type payments } from "../db/tables.ts";
import { appendEvent } from "../events/append.ts";
import type { ClusterRow } from "./open-cluster.ts";

/**
 * A paid extension takes effect: the lease of every rank ends later. The caller holds the cluster's row.
 * False when the cluster runs no longer, so that there is nothing to extend.
 */
export async function applyExtension(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow,
  extension: Pick<typeof payments.$inferSelect, "id" | "extensionSeconds">,
): Promise<boolean> {
  const nowMs = ctx.clock.nowMs();
  const { extensionSeconds } = extension;
  if (cluster.status !== "running" || cluster.endsAt === null || cluster.endsAt <= nowMs) return false;
  if (extensionSeconds === null) return false;
  const endsAt = cluster.endsAt + extensionSeconds * 1000;
  await tx
    .update(clusters)
    .set({ endsAt, durationSeconds: sql`${clusters.durationSeconds} + ${extensionSeconds}` })
    .where(eq(clusters.id, cluster.id));
  await tx
    .update(leases)
    .set({ endsAt })
    .where(and(eq(leases.clusterId, cluster.id), eq(leases.desired, "running")));
  await appendEvent(ctx, tx, cluster.id, "cluster.extended", {
    payment_id: extension.id,
    duration_seconds: extensionSeconds,
    ends_at: toTimestamp(endsAt),
  });
  await wake(tx, "cluster", cluster.id, nowMs);
  return true;
}
