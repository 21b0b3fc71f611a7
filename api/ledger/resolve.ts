import { sql } from "drizzle-orm";
import { type Maker, newId } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { ledgerCall } from "./errors.ts";

/**
 * Ends a hold: posts `amountMicroUsdc` of it and frees the rest; 0 voids it, funded or not.
 * @throws {LedgerError} `hold_not_found`, `hold_already_posted`, `hold_already_voided`, `hold_expired`, `hold_not_funded`,
 * `amount_exceeds_hold`
 */
export async function resolve(ctx: Maker, tx: Transaction, holdId: string, amountMicroUsdc: bigint): Promise<void> {
  await ledgerCall(
    tx.execute(
      sql`SELECT ledger_resolve(${newId(ctx, "transfer")}, ${holdId}, ${amountMicroUsdc}::bigint,
                                ${ctx.clock.nowMs()}::bigint)`,
    ),
  );
}
