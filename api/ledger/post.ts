import { sql } from "drizzle-orm";
import { type Maker, newId } from "../context.ts";
import { rows, type Transaction } from "../db/database.ts";
import { ledgerCall } from "./errors.ts";

export interface Posting {
  readonly debit: string;
  readonly credit: string;
  readonly amountMicroUsdc: bigint;
  /** With `reference` the cause: one cause moves money between the same two accounts once. */
  readonly reason: string;
  readonly reference: string;
}

/**
 * Moves money at once. False when the same cause has moved it before.
 * @throws {LedgerError} `insufficient_funds`
 */
export async function post(ctx: Maker, tx: Transaction, posting: Posting): Promise<boolean> {
  const { debit, credit, amountMicroUsdc, reason, reference } = posting;
  const [answer] = await ledgerCall(
    rows<{ moved: boolean }>(
      tx,
      sql`SELECT ledger_post(${newId(ctx, "transfer")}, ${debit}, ${credit}, ${amountMicroUsdc}::bigint,
                             ${reason}, ${reference}, ${ctx.clock.nowMs()}::bigint) AS moved`,
    ),
  );
  return answer?.moved ?? false;
}
