import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq } from "drizzle-orm";
import { opensMoney } from "../clusters/opens-money.ts";
import type { Context } from "../context.ts";
import { clusters, payments } from "../db/tables.ts";
import { loadPaymentResources } from "./load-payments.ts";

type Get = Operations["payments.get"];

/** @throws {VolleyError} `unauthenticated`, `not_found`: somebody else's payment answers as a missing one */
export async function getPayment(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  const found = await ctx.db
    .select({ payment: payments })
    .from(payments)
    .leftJoin(clusters, eq(clusters.id, payments.clusterId))
    .where(and(eq(payments.id, input.id), opensMoney(ctx, payments)));
  const [resource] = await loadPaymentResources(
    ctx,
    found.map((row) => row.payment),
  );
  if (resource !== undefined) return resource;
  throw new VolleyError("not_found", "There is no such payment, or the credential doesn't open it.", {
    nextAction:
      "Check the id, and that the credential is a session of its account or the secret of the payment's cluster.",
  });
}
