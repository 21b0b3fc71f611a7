import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq } from "drizzle-orm";
import { opensMoney } from "../../clusters/opens-money.ts";
import type { Context } from "../../context.ts";
import { clusters, refunds } from "../../db/tables.ts";
import type { RefundRow } from "./begin-refund.ts";
import { toRefundResource } from "./to-refund-resource.ts";

type Get = Operations["refunds.get"];

/** @throws {VolleyError} `unauthenticated`, `not_found`: somebody else's refund answers as a missing one */
export async function getRefund(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  return toRefundResource(await findRefund(ctx, input.id));
}

/** @throws {VolleyError} `unauthenticated`, `not_found` */
export async function findRefund(ctx: Context, id: string): Promise<RefundRow> {
  const [found] = await ctx.db
    .select({ refund: refunds })
    .from(refunds)
    .leftJoin(clusters, eq(clusters.id, refunds.clusterId))
    .where(and(eq(refunds.id, id), eq(refunds.kind, "refund"), opensMoney(ctx, refunds)));
  if (found !== undefined) return found.refund;
  throw new VolleyError("not_found", "There is no such refund, or the credential doesn't open it.", {
    nextAction:
      "Check the id, and that the credential is a session of its account or the secret of the refund's cluster.",
  });
}
