/** The key that pays network fees for others. It holds SOL and nothing else, and signs only what it has checked. */
export interface SponsoredPayment {
  /** Wallet that the transaction pays, of our mint. */
  readonly payTo: string;
  readonly amountMicroUsdc: bigint;
  /** Of a transaction request that we have made, which its payer signs last; null: the payer has signed it already. */
  readonly reference: string | null;
}

export interface SignedSponsored {
  /** The sponsor's, which is the transaction's id on chain. */
  readonly signature: string;
  /** With the sponsor's signature, and the payer's where it was there. */
  readonly transactionBase64: string;
  /** What it costs at most. */
  readonly lamports: bigint;
}

export interface SponsorSigner {
  readonly address: string;
  /**
   * Adds the fee payer's signature. Deterministic.
   * @throws when the transaction does anything but pay exactly that
   */
  sign(transactionBase64: string, payment: SponsoredPayment): Promise<SignedSponsored>;
}
