import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq } from "drizzle-orm";
import { credentialHash } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import { clusters, refunds } from "../../db/tables.ts";
import { toRefundResource } from "./to-refund-resource.ts";

type Get = Operations["refunds.get"];

/** @throws {VolleyError} `unauthenticated`, `not_found`: somebody else's refund answers as a missing one */
export async function getRefund(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  const secretHash = credentialHash(ctx);
  const [found] = await ctx.db
    .select({ refund: refunds })
    .from(refunds)
    .innerJoin(clusters, eq(clusters.id, refunds.clusterId))
    .where(and(eq(refunds.id, input.id), secretHash === null ? undefined : eq(clusters.secretHash, secretHash)));
  if (found !== undefined) return toRefundResource(found.refund);
  throw new VolleyError("not_found", "There is no such refund, or the credential doesn't open it.", {
    nextAction: "Check the id, and that the credential is the secret of the refund's cluster.",
  });
}
