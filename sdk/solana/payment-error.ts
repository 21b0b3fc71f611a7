import { VolleyError } from "../errors.ts";

/**
 * Why a payment on Solana did not come about:
 * - `request_malformed`: the `solana:` URL breaks the specification;
 * - `request_unsupported`: it asks for something else than a transfer of a token;
 * - `request_mismatch`: it asks for something else than the payment that it came with;
 * - `mint_unknown`: the token doesn't exist on this chain;
 * - `funds_missing`: the payer has too little of the token, or none;
 * - `recipient_unready`: the recipient has no account for the token, so the money could not arrive;
 * - `transaction_refused`: the chain would not take the transaction; nothing was paid;
 * - `transaction_failed`: the transaction failed on chain; only its fee was paid;
 * - `transaction_expired`: it was not included in time and never will be; nothing was paid;
 * - `outcome_unknown`: the chain gave no answer in time; look the signature up before paying again.
 */
export type SolanaPaymentErrorCode =
  | "request_malformed"
  | "request_unsupported"
  | "request_mismatch"
  | "mint_unknown"
  | "funds_missing"
  | "recipient_unready"
  | "transaction_refused"
  | "transaction_failed"
  | "transaction_expired"
  | "outcome_unknown";

export class SolanaPaymentError extends VolleyError {
  override name = "SolanaPaymentError";
  readonly code: SolanaPaymentErrorCode;
  /** The transaction, once there was one. */
  readonly signature: string | null;

  constructor(code: SolanaPaymentErrorCode, message: string, options: { signature?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.signature = options.signature ?? null;
  }
}
