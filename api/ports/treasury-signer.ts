/** The only place where a key that can spend is used. It signs refunds, nothing else. */
export interface RefundOrder {
  readonly refundId: string;
  /** Wallet that receives. */
  readonly to: string;
  readonly amountMicroUsdc: bigint;
  readonly blockhash: string;
  readonly lastValidBlockHeight: bigint;
}

export interface SignedRefund {
  readonly signature: string;
  readonly transactionBase64: string;
  /** What it takes from the signer's wallet, besides the USDC. */
  readonly lamports: bigint;
}

export interface AnchorOrder {
  readonly memo: string;
  readonly blockhash: string;
  readonly lastValidBlockHeight: bigint;
}

export interface TreasurySigner {
  /** The treasury's wallet; payments go to its token account. */
  readonly address: string;
  /** Deterministic: the same order gives the same bytes. @throws when the order breaks a limit of the signer */
  signRefund(order: RefundOrder): Promise<SignedRefund>;
  /** A memo and nothing else: it moves no USDC. */
  signAnchor(order: AnchorOrder): Promise<SignedRefund>;
}
