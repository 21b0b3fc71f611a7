import { sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { rows, type Transaction } from "../../db/database.ts";
import { LOSS_ACCOUNT } from "../../ledger/accounts.ts";
import { post } from "../../ledger/post.ts";
import { smaller } from "../../ledger/smaller.ts";

export interface Landing {
  /** `signature:index` of the transfer, whichever landing it is. */
  readonly base: string;
  /** What the ledger calls this landing. */
  readonly reference: string;
  /** The ledger's account that it was credited to. */
  readonly account: string;
  readonly amountMicroUsdc: bigint;
}

/**
 * A transfer that had vanished after it was spent has landed after all: the platform has its loss back before anybody
 * can spend the same money again. Only of whom it was credited to before, as what vanished may have been a tale of
 * one node.
 */
export async function setOffLoss(ctx: Context, tx: Transaction, landing: Landing): Promise<void> {
  const { base, reference, account } = landing;
  const [found] = await rows<{ loss: string }>(
    tx,
    sql`SELECT coalesce(sum(CASE WHEN t.reason = 'inbound_dropped' THEN t.amount_micro_usdc
                                 ELSE -t.amount_micro_usdc END), 0)::text AS loss
        FROM transfers AS t
        WHERE (t.reference = ${base} OR t.reference LIKE ${`${base}:%`})
          AND (t.reason = 'inbound_returned' AND t.debit_account = ${account}
               OR t.reason = 'inbound_dropped' AND t.debit_account = ${LOSS_ACCOUNT} AND EXISTS (
                 SELECT 1 FROM transfers AS landed
                 WHERE landed.reason = 'inbound' AND landed.reference = t.reference
                   AND landed.credit_account = ${account}))`,
  );
  const amountMicroUsdc = smaller(BigInt(found?.loss ?? 0), landing.amountMicroUsdc);
  if (amountMicroUsdc <= 0n) return;
  await post(ctx, tx, { debit: account, credit: LOSS_ACCOUNT, amountMicroUsdc, reason: "inbound_returned", reference });
}
