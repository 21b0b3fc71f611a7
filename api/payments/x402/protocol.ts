/**
 * x402 v2 on the wire: `specs/x402-specification-v2.md`, `specs/transports-v2/http.md` and
 * `specs/schemes/exact/scheme_exact_svm.md` of x402-foundation/x402.
 */
import { z } from "zod";

export const X402_VERSION = 2;
/** For how long a blockhash lives, about: later the signed transaction is worth nothing. */
export const TIMEOUT_SECONDS = 60;

export interface PaymentRequirements {
  readonly scheme: "exact";
  /** CAIP-2. */
  readonly network: string;
  /** In units of the mint, which for USDC are micro-USDC. */
  readonly amount: string;
  /** The mint. */
  readonly asset: string;
  /** The wallet, not its token account. */
  readonly payTo: string;
  readonly maxTimeoutSeconds: number;
  readonly extra: { readonly feePayer: string; readonly memo: string };
}

/** What the 402 says, in the header PAYMENT-REQUIRED. */
export interface PaymentRequired {
  readonly x402Version: typeof X402_VERSION;
  /** Why the payment that was sent isn't taken, or that none was sent. */
  readonly error: string;
  readonly resource: { readonly url: string; readonly description: string; readonly mimeType: string };
  readonly accepts: readonly PaymentRequirements[];
}

/** What came of a payment, in the header PAYMENT-RESPONSE. */
export interface SettlementResponse {
  readonly success: boolean;
  readonly errorReason?: string;
  /** Its signature on chain; empty where nothing has landed. */
  readonly transaction: string;
  readonly network: string;
  /** Who paid the transaction's fee. */
  readonly payer?: string;
  readonly amount?: string;
}

/** What the client sends, in the header PAYMENT-SIGNATURE; `accepted` is what it took of our `accepts`. */
export const paymentPayloadSchema = z.object({
  x402Version: z.literal(X402_VERSION),
  accepted: z.object({
    scheme: z.string(),
    network: z.string(),
    amount: z.string(),
    asset: z.string(),
    payTo: z.string(),
    maxTimeoutSeconds: z.number(),
    extra: z.object({ feePayer: z.string(), memo: z.string() }),
  }),
  payload: z.object({ transaction: z.string().max(2_000) }),
});
