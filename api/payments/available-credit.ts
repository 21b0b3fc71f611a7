import { and, eq, inArray } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { payments } from "../db/tables.ts";
import { customerAccount } from "../ledger/accounts.ts";
import { balanceOf } from "../ledger/balance-of.ts";
import { smaller } from "../ledger/smaller.ts";

/**
 * Money of the cluster that is neither held nor spent nor meant for a payment that is still open. To decide by it,
 * hold the cluster's row.
 */
export async function availableCredit(executor: Executor, clusterId: string): Promise<bigint> {
  const { availableMicroUsdc } = await balanceOf(executor, customerAccount(clusterId));
  const open = await executor
    .select({ received: payments.receivedMicroUsdc, amount: payments.amountMicroUsdc })
    .from(payments)
    .where(and(eq(payments.clusterId, clusterId), inArray(payments.status, ["pending", "detected"])));
  const promised = open.reduce((sum, { received, amount }) => sum + smaller(received, amount), 0n);
  return availableMicroUsdc > promised ? availableMicroUsdc - promised : 0n;
}
