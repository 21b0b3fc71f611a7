/**
 * Somebody else who pays the fee of x402 payments and sends them. Not trusted: only the chain says that money came, and
 * whatever is answered here, a payment that lands is recorded.
 */
export interface SettleOrder {
  /** As the payer has signed it, without the fee payer's signature. */
  readonly transactionBase64: string;
  readonly requirements: {
    readonly scheme: "exact";
    readonly network: string;
    readonly amount: string;
    readonly asset: string;
    readonly payTo: string;
    readonly maxTimeoutSeconds: number;
    readonly extra: { readonly feePayer: string; readonly memo: string };
  };
}

export type SettleAnswer = { readonly settled: true } | { readonly settled: false; readonly reason: string };

export interface Facilitator {
  /**
   * To be called once per order: a second call may be refused as a duplicate of the first.
   * @throws {FacilitatorError} when it doesn't answer, or not as it should: then nothing is known
   */
  settle(order: SettleOrder): Promise<SettleAnswer>;
}

export class FacilitatorError extends Error {
  override readonly name = "FacilitatorError";
}
