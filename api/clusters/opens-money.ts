import { inArray, or, type SQL } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { payments, refunds } from "../db/tables.ts";
import { accountOfSession } from "../identity/account-of-session.ts";
import { opensCluster } from "./open-cluster.ts";

/**
 * The condition under which the caller's credential opens a payment or a refund, which the query has joined with its
 * cluster: it opens the cluster, or it is a session of the account that owns it.
 * @throws {VolleyError} `unauthenticated`
 */
export function opensMoney(ctx: Context, table: typeof payments | typeof refunds): SQL | undefined {
  const opened = opensCluster(ctx);
  if (ctx.actor.kind !== "bearer") return opened;
  return or(opened, inArray(table.customerId, accountOfSession(ctx, ctx.actor.tokenHash)));
}
