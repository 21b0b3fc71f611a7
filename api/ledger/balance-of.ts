import { sql } from "drizzle-orm";
import { type Executor, rows } from "../db/database.ts";

export interface Balance {
  /** Credits minus debits of posted money. */
  readonly postedMicroUsdc: bigint;
  /** Bound by funded holds. */
  readonly heldMicroUsdc: bigint;
  readonly availableMicroUsdc: bigint;
}

/** What an account holds; zeros for one that doesn't exist. Accounts without a balance of their own are summed. */
export async function balanceOf(executor: Executor, accountId: string): Promise<Balance> {
  const [found] = await rows<{ posted: string; held: string }>(
    executor,
    sql`SELECT CASE WHEN ledger_is_summed(kind) THEN (
                 SELECT coalesce(sum(CASE WHEN credit_account = a.id THEN amount_micro_usdc
                                          ELSE -amount_micro_usdc END), 0)
                 FROM transfers
                 WHERE kind IN ('posted', 'post') AND (credit_account = a.id OR debit_account = a.id)
               ) ELSE credits_posted - debits_posted END::text AS posted,
               debits_pending::text AS held
        FROM accounts AS a WHERE id = ${accountId}`,
  );
  const posted = BigInt(found?.posted ?? 0);
  const held = BigInt(found?.held ?? 0);
  return { postedMicroUsdc: posted, heldMicroUsdc: held, availableMicroUsdc: posted - held };
}
