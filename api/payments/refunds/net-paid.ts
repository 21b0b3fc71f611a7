import { sql } from "drizzle-orm";
import { rows, type Transaction } from "../../db/database.ts";

/**
 * What has come for the cluster and didn't go back by another refund than the one that its bill names, so that what
 * the bill charges and refunds adds up to it. Not below zero, where money vanished that had been sent back.
 */
export async function netPaid(tx: Transaction, clusterId: string, refundId: string | null): Promise<bigint> {
  const [found] = await rows<{ paid: string }>(
    tx,
    sql`SELECT greatest(0,
          (SELECT coalesce(sum(received_micro_usdc), 0) FROM payments WHERE cluster_id = ${clusterId})
          - (SELECT coalesce(sum(amount_micro_usdc), 0) FROM refunds
             WHERE cluster_id = ${clusterId} AND status <> 'cancelled'
               AND id IS DISTINCT FROM ${refundId}::text))::text AS paid`,
  );
  return BigInt(found?.paid ?? 0);
}
