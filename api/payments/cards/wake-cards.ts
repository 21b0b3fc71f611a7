import { and, eq, gt } from "drizzle-orm";
import { type Transaction, wake } from "../../db/database.ts";
import { cardPayments, payments } from "../../db/tables.ts";

/** Has the account's card payments looked at for which the platform has put money in: its balance may have it now. */
export async function wakeCardsOf(tx: Transaction, customerId: string, nowMs: number): Promise<void> {
  const short = await tx
    .select({ paymentId: cardPayments.paymentId })
    .from(cardPayments)
    .innerJoin(payments, eq(payments.id, cardPayments.paymentId))
    .where(and(eq(payments.customerId, customerId), gt(cardPayments.lossMicroUsdc, 0n)));
  for (const { paymentId } of short) await wake(tx, "card", paymentId, nowMs);
}
