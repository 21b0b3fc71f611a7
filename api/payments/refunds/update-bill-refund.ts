import { toMoney } from "@volley/schema/money";
import type { Bill } from "@volley/schema/resources/cluster";
import { eq } from "drizzle-orm";
import type { ClusterRow } from "../../clusters/open-cluster.ts";
import type { Transaction } from "../../db/database.ts";
import { clusters } from "../../db/tables.ts";
import { netPaid } from "./net-paid.ts";

/**
 * An ended cluster's credit has changed or is on its way back: its bill says so, as long as it named no refund yet.
 * A bill that names one is left alone, so that charge and refund add up to what it says was paid.
 */
export async function updateBillRefund(tx: Transaction, cluster: ClusterRow, refund: Bill["refund"]): Promise<void> {
  if (cluster.bill === null || cluster.bill.refund.id !== null) return;
  const paid = toMoney(await netPaid(tx, cluster.id, refund.id));
  await tx
    .update(clusters)
    .set({ bill: { ...cluster.bill, paid, refund } })
    .where(eq(clusters.id, cluster.id));
}
