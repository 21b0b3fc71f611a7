/**
 * One level-triggered step of a cluster's life: compares what should be with what is and does the next thing.
 * Every step may be repeated, may crash anywhere and may run twice at once: the cluster's row lock and its status
 * decide which one counts.
 */
import { eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { clusters } from "../db/tables.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import { expireUnpaid } from "./expire-unpaid.ts";
import { provision } from "./provision.ts";
import { supervise } from "./supervise.ts";
import { windDown } from "./wind-down.ts";

export async function reconcileCluster(ctx: Context, id: string): Promise<TaskOutcome> {
  const [cluster] = await ctx.db.select().from(clusters).where(eq(clusters.id, id));
  if (cluster === undefined) return "done";
  switch (cluster.status) {
    case "awaiting_payment":
      return expireUnpaid(ctx, cluster);
    case "provisioning":
      return provision(ctx, cluster);
    case "running":
      return supervise(ctx, cluster);
    case "stopping":
    case "stopped":
    case "failed":
    case "expired":
      return windDown(ctx, cluster);
  }
}
