import { sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { rows, type Transaction } from "../../db/database.ts";
import { commitmentFor } from "./commitment-for.ts";

/**
 * Whether a cluster's credit may be spent: what has come may be far more than was asked for, and all of it that isn't
 * final yet must not be more than may count at `confirmed`. Refunds need no such care, because nothing is signed
 * before what they send on is final.
 */
export async function isFinalEnough(
  { settings }: Pick<Context, "settings">,
  tx: Transaction,
  clusterId: string,
): Promise<boolean> {
  const [open] = await rows<{ amount: string }>(
    tx,
    sql`SELECT coalesce(sum(inbound.amount_micro_usdc), 0)::text AS amount
        FROM inbound_transfers AS inbound JOIN payments ON payments.id = inbound.payment_id
        WHERE payments.cluster_id = ${clusterId} AND inbound.finality = 'confirmed'`,
  );
  return commitmentFor(BigInt(open?.amount ?? 0), settings) === "confirmed";
}
