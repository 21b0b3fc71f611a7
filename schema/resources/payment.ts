import { z } from "zod";
import { idOutput } from "../ids.ts";
import { moneySchema } from "../money.ts";
import { timestampSchema } from "../time.ts";

export const PAYMENT_STATUSES = ["pending", "detected", "settled", "expired"] as const;
export const paymentStatusSchema = z.enum(PAYMENT_STATUSES).meta({ id: "PaymentStatus" });
export const railSchema = z.enum(["solana_pay"]).meta({ id: "Rail" });

/** What was odd about a transaction that named this payment's reference. Money is never lost: see each code. */
export const PAYMENT_NOTICES = {
  underpaid: "Less than the amount due arrived; the rest is still due until the payment expires.",
  overpaid: "More than the amount due arrived; the surplus is credit of this cluster.",
  late: "Money arrived after the payment had expired; it is credit of this cluster.",
  wrong_mint: "The transaction moved another token than USDC; it is not counted.",
  failed_transaction: "The transaction failed on chain and moved nothing.",
  foreign_reference: "The transfer carries another payment's reference and counts there alone.",
} as const;
export const paymentNoticeSchema = z
  .object({
    code: z.enum(Object.keys(PAYMENT_NOTICES) as [keyof typeof PAYMENT_NOTICES, ...(keyof typeof PAYMENT_NOTICES)[]]),
    detail: z.string(),
    signature: z.string().nullable(),
  })
  .meta({ id: "PaymentNotice" });

export const refundSchema = z
  .object({
    id: idOutput("refund"),
    object: z.literal("refund"),
    cluster_id: idOutput("cluster"),
    amount: moneySchema,
    to: z.string().describe("Solana address that receives the USDC."),
    status: z.enum(["pending", "sent", "finalized"]),
    signature: z.string().nullable(),
    created_at: timestampSchema,
  })
  .meta({ id: "Refund" });

export const paymentSchema = z
  .object({
    id: idOutput("payment"),
    object: z.literal("payment"),
    cluster_id: idOutput("cluster"),
    purpose: z.enum(["reserve", "extend"]),
    rail: railSchema,
    status: paymentStatusSchema,
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
      })
      .meta({ id: "SolanaPayRequest" }),
    signatures: z.array(z.string()),
    notices: z.array(paymentNoticeSchema),
  })
  .meta({ id: "Payment" });

export type Payment = z.infer<typeof paymentSchema>;
export type PaymentStatus = z.infer<typeof paymentStatusSchema>;
export type PaymentNotice = z.infer<typeof paymentNoticeSchema>;
export type PaymentNoticeCode = PaymentNotice["code"];
export type Refund = z.infer<typeof refundSchema>;
