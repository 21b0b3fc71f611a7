import { eq } from "drizzle-orm";
import type { Executor } from "../../db/database.ts";
import { clusters, customers } from "../../db/tables.ts";
import type { RefundRow } from "../../payments/refunds/begin-refund.ts";

/** Why the account whose money it is may send nothing, in a sentence; in a transaction it can't be frozen until that ends. */
export async function frozenReason(executor: Executor, refund: RefundRow): Promise<string | null> {
  const customerId = await accountOf(executor, refund);
  if (customerId === null) return null;
  const [customer] = await executor.select().from(customers).where(eq(customers.id, customerId)).for("share");
  if (customer === undefined || customer.frozenAt === null) return null;
  return `The account is frozen${customer.frozenReason === null ? "." : `: ${customer.frozenReason}`}`;
}

/** Whose balance the money belongs to, or came from. */
export async function accountOf(
  executor: Executor,
  { customerId, clusterId }: Pick<RefundRow, "customerId" | "clusterId">,
): Promise<string | null> {
  if (clusterId === null) return customerId;
  const [cluster] = await executor.select({ id: clusters.customerId }).from(clusters).where(eq(clusters.id, clusterId));
  return cluster?.id ?? null;
}
