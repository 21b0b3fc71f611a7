import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import type { Context } from "../context.ts";
import { runIdempotent } from "../idempotency/run-idempotent.ts";
import { endCluster, notifyEnded } from "./end-cluster.ts";
import { clusterNotFound, lockCluster, openCluster } from "./open-cluster.ts";
import { toClusterResource } from "./to-cluster-resource.ts";

type Teardown = Operations["clusters.teardown"];

/**
 * Ends a cluster at once: metering stops in this transaction, however long the machines take to be gone. One that
 * wasn't paid for costs nothing; one that was starting gets all its money back.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `cluster_ended` with the final bill, `idempotency_*`
 */
export async function teardownCluster(ctx: Context, input: InputOf<Teardown>): Promise<OutputOf<Teardown>> {
  const { id } = await openCluster(ctx, input.id);
  let nodeIds: readonly string[] = [];
  const answer = await runIdempotent(ctx, { operation: "clusters.teardown", input }, async (tx) => {
    const cluster = await lockCluster(tx, id);
    if (cluster === null) throw clusterNotFound();
    if (cluster.meteredUntil !== null) {
      const { bill } = await toClusterResource({ db: tx, settings: ctx.settings }, cluster);
      throw new VolleyError("cluster_ended", `The cluster is ${cluster.status}; its bill is final.`, {
        nextAction: "Nothing is left to do: the bill is in this answer.",
        extensions: { bill },
      });
    }
    // An end that has passed without having been noticed yet stays the end.
    const meteredUntilMs = Math.min(ctx.clock.nowMs(), cluster.endsAt ?? Number.POSITIVE_INFINITY);
    const status = cluster.status === "awaiting_payment" ? "expired" : "stopping";
    ({ nodeIds } = await endCluster(ctx, tx, cluster, { status, reason: "released", meteredUntilMs }));
    const now = await lockCluster(tx, id);
    return toClusterResource({ db: tx, settings: ctx.settings }, now ?? cluster);
  });
  notifyEnded(ctx, id, nodeIds);
  return answer;
}
