import { sql } from "drizzle-orm";
import { type Maker, newId } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { ledgerCall } from "./errors.ts";

/**
 * Binds the hold's amount of its account's money.
 * @throws {LedgerError} `insufficient_funds`, `hold_not_found`, `hold_already_funded`, `hold_already_posted`,
 * `hold_already_voided`, `hold_expired`
 */
export async function fund(ctx: Maker, tx: Transaction, holdId: string): Promise<void> {
  await ledgerCall(
    tx.execute(sql`SELECT ledger_fund(${newId(ctx, "transfer")}, ${holdId}, ${ctx.clock.nowMs()}::bigint)`),
  );
}
