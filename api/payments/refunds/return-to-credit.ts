import { toMoney } from "@volley/schema/money";
import { eq } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import type { Maker } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { refunds } from "../../db/tables.ts";
import { refundAccount } from "../../ledger/accounts.ts";
import { post } from "../../ledger/post.ts";
import { availableCredit } from "../available-credit.ts";
import { type RefundRow, sourceAccount } from "./begin-refund.ts";
import { clearHeldAlarm } from "./held-alarm.ts";
import { updateBillRefund } from "./update-bill-refund.ts";

/**
 * Takes back a refund for which nothing was ever signed: its money is again where it came from, and a cluster's bill
 * says so. The caller holds the rows of the cluster and the refund.
 */
export async function returnToCredit(ctx: Maker, tx: Transaction, refund: RefundRow): Promise<void> {
  const { id, clusterId, amountMicroUsdc, kind } = refund;
  await post(ctx, tx, {
    debit: refundAccount(id),
    credit: sourceAccount(refund),
    amountMicroUsdc,
    reason: `${kind}_withdrawn`,
    reference: id,
  });
  await tx.update(refunds).set({ status: "cancelled", reason: null }).where(eq(refunds.id, id));
  await clearHeldAlarm(tx);
  if (clusterId === null) return;
  const cluster = await lockCluster(tx, clusterId);
  if (cluster === null || cluster.bill === null) return;
  const { refund: named } = cluster.bill;
  if (named.id !== id && named.to !== "credit") return;
  const amount = toMoney(await availableCredit(tx, clusterId));
  const credited = { id: null, amount, to: "credit", status: "credited", signature: null } as const;
  // It names no refund any more, so it also says what has come while that one was under way.
  const bill = { ...cluster.bill, refund: credited };
  await updateBillRefund(tx, { ...cluster, bill }, credited);
}
