import { eq } from "drizzle-orm";
import type { ClusterRow } from "../../clusters/open-cluster.ts";
import type { Transaction } from "../../db/database.ts";
import { clusters } from "../../db/tables.ts";

/** A cluster's rest no longer goes to this address by itself, if it did. */
export async function forgetRefundAddress(tx: Transaction, cluster: ClusterRow, address: string): Promise<void> {
  if (cluster.refundAddress !== address) return;
  await tx.update(clusters).set({ refundAddress: null }).where(eq(clusters.id, cluster.id));
}
