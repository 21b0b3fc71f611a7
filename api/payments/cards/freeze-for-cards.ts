import { and, eq, isNull, sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { rows, type Transaction } from "../../db/database.ts";
import { customers } from "../../db/tables.ts";

/** Also tells our freezes from those of others, which are not ours to end. */
const CARD_REASON = "a card payment of this account is disputed, or was taken back after it had been spent";

/**
 * Freezes the account while a card payment of its is disputed, was lost, or is missing in its balance; ends that
 * freeze when none is any more. Called when one of them has changed, so a freeze that somebody ended by hand stays
 * ended until then.
 */
export async function freezeForCards(ctx: Context, tx: Transaction, customerId: string): Promise<void> {
  const [found] = await rows<{ affected: boolean }>(
    tx,
    sql`SELECT EXISTS (
          SELECT 1 FROM card_payments AS c JOIN payments AS p ON p.id = c.payment_id
          WHERE p.customer_id = ${customerId}
            AND (c.contested_micro_usdc > 0 OR c.loss_micro_usdc > 0 OR c.dispute_status = 'lost')) AS affected`,
  );
  const ofAccount = eq(customers.id, customerId);
  if (found?.affected) {
    const frozen = { frozenAt: ctx.clock.nowMs(), frozenReason: CARD_REASON };
    await tx
      .update(customers)
      .set(frozen)
      .where(and(ofAccount, isNull(customers.frozenAt)));
  } else {
    const open = { frozenAt: null, frozenReason: null };
    await tx
      .update(customers)
      .set(open)
      .where(and(ofAccount, eq(customers.frozenReason, CARD_REASON)));
  }
}

/** Whether the account is frozen for cards and owes what one of them took back, which its balance pays off by itself. */
export async function owesForCards(tx: Transaction, customerId: string): Promise<boolean> {
  const [found] = await rows<{ owes: boolean }>(
    tx,
    sql`SELECT EXISTS (
          SELECT 1 FROM customers AS a JOIN payments AS p ON p.customer_id = a.id
          JOIN card_payments AS c ON c.payment_id = p.id
          WHERE a.id = ${customerId} AND a.frozen_reason = ${CARD_REASON} AND c.loss_micro_usdc > 0) AS owes`,
  );
  return found?.owes ?? false;
}
