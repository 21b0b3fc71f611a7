import type { Payment } from "@volley/schema";

/** The transfer request of a payment that is paid by a wallet. */
export function solanaPayOf(payment: Pick<Payment, "solana_pay">): NonNullable<Payment["solana_pay"]> {
  if (payment.solana_pay === null) throw new Error("the payment is not one by Solana Pay");
  return payment.solana_pay;
}
