import type { ClusterRow } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { isFinalEnough } from "../inbound/is-final-enough.ts";
import { refundRest } from "./refund-rest.ts";
import { updateBillRefund } from "./update-bill-refund.ts";

/**
 * Money of a cluster has come, become final or vanished: once the cluster has ended, what is left goes where it was to
 * go, and its bill says so. The caller holds the cluster's row.
 */
export async function refundAgain(ctx: Context, tx: Transaction, cluster: ClusterRow): Promise<void> {
  if (cluster.bill === null || !(await isFinalEnough(ctx, tx, cluster.id))) return;
  await updateBillRefund(tx, cluster, await refundRest(ctx, tx, cluster));
}
