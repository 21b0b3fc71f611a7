import { formatUsdc, type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq, inArray } from "drizzle-orm";
import { clusterNotFound, lockCluster, openCluster } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { payments } from "../../db/tables.ts";
import { runIdempotent } from "../../idempotency/run-idempotent.ts";
import { availableCredit } from "../available-credit.ts";
import { beginRefund, toBillRefund } from "./begin-refund.ts";
import { checkRefundAddress } from "./check-refund-address.ts";
import { toRefundResource } from "./to-refund-resource.ts";
import { updateBillRefund } from "./update-bill-refund.ts";

type Create = Operations["refunds.create"];

/**
 * Sends the cluster's credit to an address that the holder of its secret names.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `address_invalid`, `nothing_to_refund`, `idempotency_*`
 */
export async function createRefund(ctx: Context, input: InputOf<Create>): Promise<OutputOf<Create>> {
  const { id } = await openCluster(ctx, input.cluster_id);
  await checkRefundAddress(ctx, input.to);
  const answer = await runIdempotent(ctx, { operation: "refunds.create", input }, async (tx) => {
    const cluster = await lockCluster(tx, id);
    if (cluster === null) throw clusterNotFound();
    const amountMicroUsdc = await availableCredit(tx, id);
    if (amountMicroUsdc === 0n) throw await nothingToRefund(tx, id);
    const order = { owner: { clusterId: id }, toAddress: input.to, amountMicroUsdc, notBeforeMs: ctx.clock.nowMs() };
    const refund = await beginRefund(ctx, tx, order);
    await updateBillRefund(tx, cluster, toBillRefund(refund));
    return toRefundResource(refund);
  });
  ctx.hints.notify("tasks");
  ctx.hints.notify(`cluster:${id}`);
  return answer;
}

async function nothingToRefund(tx: Transaction, clusterId: string): Promise<VolleyError> {
  const [open] = await tx
    .select({ received: payments.receivedMicroUsdc })
    .from(payments)
    .where(and(eq(payments.clusterId, clusterId), inArray(payments.status, ["pending", "detected"])));
  if (open === undefined || open.received === 0n) {
    return new VolleyError("nothing_to_refund", "This cluster has no credit.", {
      nextAction: "What a running cluster doesn't use becomes credit when it ends; tear it down first.",
    });
  }
  return new VolleyError(
    "nothing_to_refund",
    `The ${formatUsdc(open.received)} USDC that have come count towards a payment that is still open.`,
    { nextAction: "Pay the rest, or tear the cluster down to get back what has come." },
  );
}
