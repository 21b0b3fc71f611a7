import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq } from "drizzle-orm";
import { credentialHash } from "../clusters/open-cluster.ts";
import type { Context } from "../context.ts";
import { clusters, payments } from "../db/tables.ts";
import { loadPaymentResources } from "./load-payments.ts";

type Get = Operations["payments.get"];

/** @throws {VolleyError} `unauthenticated`, `not_found`: somebody else's payment answers as a missing one */
export async function getPayment(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  const secretHash = credentialHash(ctx);
  const found = await ctx.db
    .select({ payment: payments })
    .from(payments)
    .innerJoin(clusters, eq(clusters.id, payments.clusterId))
    .where(and(eq(payments.id, input.id), secretHash === null ? undefined : eq(clusters.secretHash, secretHash)));
  const [resource] = await loadPaymentResources(
    ctx.db,
    found.map((row) => row.payment),
  );
  if (resource !== undefined) return resource;
  throw new VolleyError("not_found", "There is no such payment, or the credential doesn't open it.", {
    nextAction: "Check the id, and that the credential is the secret of the payment's cluster.",
  });
}
