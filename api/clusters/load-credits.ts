import { sql } from "drizzle-orm";
import { type Executor, rows } from "../db/database.ts";

/** `availableCredit` of many clusters in one statement. */
export async function loadCredits(
  ctx: { readonly db: Executor },
  clusterIds: readonly string[],
): Promise<Map<string, bigint>> {
  if (clusterIds.length === 0) return new Map();
  const found = await rows<{ id: string; credit: string }>(
    ctx.db,
    sql`SELECT clusters.id, greatest(0,
          coalesce((SELECT credits_posted - debits_posted - debits_pending FROM accounts
                    WHERE accounts.id = 'customer:' || clusters.id), 0)
          - coalesce((SELECT sum(least(received_micro_usdc, amount_micro_usdc)) FROM payments
                      WHERE cluster_id = clusters.id AND status IN ('pending', 'detected')), 0))::text AS credit
        FROM clusters WHERE id IN ${[...clusterIds]}`,
  );
  return new Map(found.map(({ id, credit }) => [id, BigInt(credit)]));
}
