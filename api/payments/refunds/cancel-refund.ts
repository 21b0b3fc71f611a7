import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { eq } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import { refunds } from "../../db/tables.ts";
import { runIdempotent } from "../../idempotency/run-idempotent.ts";
import { forgetRefundAddress } from "./forget-refund-address.ts";
import { findRefund } from "./get-refund.ts";
import { isUnsigned } from "./is-unsigned.ts";
import { returnToCredit } from "./return-to-credit.ts";
import { toRefundResource } from "./to-refund-resource.ts";

type Cancel = Operations["refunds.cancel"];

/**
 * Takes back a refund that nothing was signed for: its money is where it came from again. Either this or the signing
 * wins, by the refund's row. One that is cancelled already answers as it is.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `refund_not_cancellable`, `idempotency_*`
 */
export async function cancelRefund(ctx: Context, input: InputOf<Cancel>): Promise<OutputOf<Cancel>> {
  const { id, clusterId } = await findRefund(ctx, input.id);
  const answer = await runIdempotent(ctx, { operation: "refunds.cancel", input }, async (tx) => {
    const cluster = clusterId === null ? null : await lockCluster(tx, clusterId);
    const [refund] = await tx.select().from(refunds).where(eq(refunds.id, id)).for("no key update");
    if (refund === undefined) throw new Error(`refund ${id} has gone`);
    if (refund.status === "cancelled") return toRefundResource(refund);
    if (!(await isUnsigned(tx, refund))) throw tooLate(refund.status);
    await returnToCredit(ctx, tx, refund);
    // What an ended cluster sends there by itself would go there again with the next dust that a stranger pays in.
    if (cluster !== null && cluster.bill !== null) await forgetRefundAddress(tx, cluster, refund.toAddress);
    return toRefundResource({ ...refund, status: "cancelled", reason: null });
  });
  if (clusterId !== null) ctx.hints.notify(`cluster:${clusterId}`);
  return answer;
}

function tooLate(status: string): VolleyError {
  const why = status === "finalized" ? "It has arrived." : "It has been signed, so it may arrive at any moment.";
  return new VolleyError("refund_not_cancellable", `The refund can't be taken back. ${why}`, {
    nextAction: "See refunds.get for its signature and how it goes on.",
  });
}
