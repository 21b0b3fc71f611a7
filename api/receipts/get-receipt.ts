import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq } from "drizzle-orm";
import { opensCluster } from "../clusters/open-cluster.ts";
import type { Context } from "../context.ts";
import { clusters, receipts } from "../db/tables.ts";
import { toReceiptResources } from "./to-receipt-resource.ts";

type Get = Operations["receipts.get"];

/** @throws {VolleyError} `unauthenticated`, `not_found`: somebody else's receipt answers as a missing one */
export async function getReceipt(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  const found = await ctx.db
    .select({ receipt: receipts })
    .from(receipts)
    .innerJoin(clusters, eq(clusters.id, receipts.clusterId))
    .where(and(eq(receipts.id, input.id), opensCluster(ctx)));
  const [resource] = await toReceiptResources(
    ctx,
    found.map((row) => row.receipt),
  );
  if (resource !== undefined) return resource;
  throw new VolleyError("not_found", "There is no such receipt, or the credential doesn't open it.", {
    nextAction: "Check the id, and that the credential is the secret of its cluster or a session of its account.",
  });
}
