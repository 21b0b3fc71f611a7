import { z } from "zod";
import { idOutput } from "../ids.ts";
import { moneySchema } from "../money.ts";
import { timestampSchema } from "../time.ts";

export const PAYMENT_STATUSES = ["pending", "detected", "settled", "expired", "refunded"] as const;
export const paymentStatusSchema = z.enum(PAYMENT_STATUSES).meta({ id: "PaymentStatus" });
/** Ways to pay: a wallet, an x402 client, an account's balance, a card. */
export const RAILS = ["solana_pay", "x402", "balance", "stripe"] as const;
export const railSchema = z.enum(RAILS).meta({ id: "Rail" });
export const PAYMENT_PURPOSES = ["reserve", "extend", "topup"] as const;
export const paymentPurposeSchema = z.enum(PAYMENT_PURPOSES).meta({ id: "PaymentPurpose" });

/** What was odd about a transaction that named this payment's reference. Money is never lost: see each code. */
export const PAYMENT_NOTICES = {
  underpaid: "Less than the amount due arrived; the rest is still due until the payment expires.",
  overpaid: "More than the amount due arrived; the surplus is credit.",
  late: "Money arrived after the payment had expired; it is credit.",
  wrong_mint: "The transaction moved another token than USDC; it is not counted.",
  failed_transaction: "The transaction failed on chain and moved nothing.",
  sender_refused: "The money came from an address that we can't deal with; it is not counted.",
  foreign_reference: "The transfer carries another payment's reference and counts there alone.",
} as const;
export const paymentNoticeSchema = z
  .object({
    code: z.enum(Object.keys(PAYMENT_NOTICES) as [keyof typeof PAYMENT_NOTICES, ...(keyof typeof PAYMENT_NOTICES)[]]),
    detail: z.string(),
    signature: z.string().nullable(),
  })
  .meta({ id: "PaymentNotice" });

export const REFUND_STATUSES = ["pending", "held", "sent", "finalized", "cancelled"] as const;

/** Money on its way out on chain: a refund to a payer, or a payout to a supplier. */
const outboundFields = {
  amount: moneySchema,
  to: z.string().describe("Solana address that receives the USDC."),
  status: z
    .enum(REFUND_STATUSES)
    .describe("`pending` until it is signed; `held` while something stands in its way, see `reason`."),
  reason: z.string().nullable().describe("Why it is held, in a sentence."),
  not_before: timestampSchema.describe("Not sent earlier: an address that nobody has proved to own has to wait."),
  signature: z.string().nullable(),
  created_at: timestampSchema,
};

export const refundSchema = z
  .object({
    id: idOutput("refund"),
    object: z.literal("refund"),
    cluster_id: idOutput("cluster").nullable().describe("Null when it came from an account's balance."),
    ...outboundFields,
  })
  .meta({ id: "Refund" });

export const payoutSchema = z
  .object({
    id: idOutput("refund"),
    object: z.literal("payout"),
    supplier_id: idOutput("supplier"),
    ...outboundFields,
  })
  .meta({ id: "Payout" });

export const paymentSchema = z
  .object({
    id: idOutput("payment"),
    object: z.literal("payment"),
    cluster_id: idOutput("cluster").nullable().describe("Null for a top-up."),
    purpose: paymentPurposeSchema,
    rail: railSchema,
    status: paymentStatusSchema.describe(
      "`refunded`: paid by a card, to which all of it went back, as a refund or by a lost dispute.",
    ),
    amount: moneySchema,
    received: moneySchema,
    missing: moneySchema.describe("What is still due."),
    expires_at: timestampSchema,
    created_at: timestampSchema,
    settled_at: timestampSchema.nullable(),
    solana_pay: z
      .object({
        url: z.string().describe("Solana Pay transfer request; show it as a QR code or hand it to a wallet."),
        recipient: z.string(),
        spl_token: z.string(),
        reference: z.string(),
        commitment: z.enum(["confirmed", "finalized"]).describe("How settled on chain the payment must be to count."),
        transaction_request_url: z
          .string()
          .describe("Solana Pay transaction request: the wallet gets a transaction that can't get the amount wrong."),
      })
      .meta({ id: "SolanaPayRequest" })
      .nullable()
      .describe("Null where nothing is paid on chain by a wallet."),
    x402: z
      .object({ network: z.string().describe("CAIP-2.") })
      .meta({ id: "X402Payment" })
      .nullable()
      .describe("Null for other rails."),
    checkout_url: z.string().nullable().describe("A page to pay on, for people: of Volley, or of the card processor."),
    signatures: z.array(z.string()),
    notices: z.array(paymentNoticeSchema),
    refunds: z
      .array(refundSchema)
      .describe("What of its cluster's money was sent back on chain, oldest first; see refunds.list for an account's."),
  })
  .meta({ id: "Payment" });

export type Payment = z.infer<typeof paymentSchema>;
export type PaymentPurpose = z.infer<typeof paymentPurposeSchema>;
export type Rail = z.infer<typeof railSchema>;
export type PaymentStatus = z.infer<typeof paymentStatusSchema>;
export type PaymentNotice = z.infer<typeof paymentNoticeSchema>;
export type PaymentNoticeCode = PaymentNotice["code"];
export type Refund = z.infer<typeof refundSchema>;
export type Payout = z.infer<typeof payoutSchema>;

/** What a wallet shows before it asks for the transaction (Solana Pay specification, transaction request, GET). */
export const paymentRequestInfoSchema = z
  .object({
    label: z.string(),
    icon: z.string().describe("Absolute https URL of an SVG, PNG or WebP image."),
  })
  .meta({ id: "PaymentRequestInfo" });

/** A transaction to sign and send (Solana Pay specification, transaction request, POST). */
export const paymentTransactionSchema = z
  .object({
    transaction: z.string().describe("Base64 of the serialised transaction; signatures that are still due are zeros."),
    message: z.string().describe("What it pays for, in a sentence."),
  })
  .meta({ id: "PaymentTransaction" });

export type PaymentRequestInfo = z.infer<typeof paymentRequestInfoSchema>;
export type PaymentTransaction = z.infer<typeof paymentTransactionSchema>;
