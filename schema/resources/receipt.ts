import { z } from "zod";
import { idOutput } from "../ids.ts";
import { moneySchema } from "../money.ts";
import { timestampSchema } from "../time.ts";

/**
 * What a receipt says, and what is signed: the payload of its JWS (RFC 7515, EdDSA). Each names the hash of the one
 * before it in its chain, so that none can be changed or left out afterwards.
 */
export const receiptContentSchema = z
  .object({
    id: idOutput("receipt"),
    issuer: z.string().describe("Where the API is that issued it."),
    chain: z.string().describe("The account's id, or the cluster's where nobody had signed in."),
    sequence: z.number().int().describe("From 1, without gaps within its chain."),
    previous_hash: z.string().nullable().describe("SHA-256 of the JWS before it, hex; null for the first."),
    issued_at: timestampSchema,
    cluster_id: idOutput("cluster"),
    quote_id: idOutput("quote"),
    quoted: moneySchema.describe("For the whole duration, extensions left out."),
    gpu: z.string(),
    gpus_per_node: z.number().int(),
    ready_at: timestampSchema.nullable().describe("Every rank verified: metering began here."),
    ended_at: timestampSchema,
    status_reason: z.string().nullable(),
    nodes: z.array(
      z
        .object({
          rank: z.number().int(),
          node_id: z.string(),
          country: z.string(),
          seconds: z.number().int().describe("From verified ready."),
          price_per_gpu_hour: moneySchema,
          amount: moneySchema.describe("Price × GPUs per node × seconds ÷ 3600, rounded down; never more."),
        })
        .meta({ id: "ReceiptNode" }),
    ),
    compute: moneySchema.describe("The sum over the nodes."),
    platform_fee_bps: z.number().int().describe("In hundredths of a percent of compute."),
    platform_fee: moneySchema,
    charged: moneySchema.describe("Compute and fee."),
    payments: z.array(
      z
        .object({
          id: idOutput("payment"),
          purpose: z.string(),
          rail: z.string(),
          received: moneySchema,
          signatures: z.array(z.string()).describe("Of its transactions on chain."),
        })
        .meta({ id: "ReceiptPayment" }),
    ),
    paid: moneySchema.describe("The sum over the payments."),
    refunds: z
      .array(
        z
          .object({
            id: z.string().nullable().describe("Of the refund on chain, whose signature refunds.get tells."),
            amount: moneySchema,
            to: z.string().describe('A Solana address, "balance" of the account, or "credit" of the cluster.'),
          })
          .meta({ id: "ReceiptRefund" }),
      )
      .describe("Where the rest went, refunds before the end included."),
    written_off: moneySchema.describe("What Volley bore, because a payment vanished from the chain."),
  })
  .meta({ id: "ReceiptContent" })
  .describe("Paid and written off are charged and refunded.");

export const receiptSchema = z
  .object({
    id: idOutput("receipt"),
    object: z.literal("receipt"),
    cluster_id: idOutput("cluster"),
    chain: z.string(),
    sequence: z.number().int(),
    hash: z.string().describe("SHA-256 of the JWS, hex."),
    jws: z.string().describe("The signed receipt; its keys are at /.well-known/jwks.json."),
    content: receiptContentSchema,
    anchor: z
      .object({
        day: z.string(),
        merkle_root: z.string(),
        proof: z.array(z.string()).describe("Sibling hashes from the leaf up, each with L: or R: before it."),
        signature: z.string().nullable().describe("Of the memo transaction on chain; null until it is final."),
      })
      .meta({ id: "ReceiptAnchor" })
      .nullable()
      .describe("Null until the receipt's day is over and anchored."),
    created_at: timestampSchema,
  })
  .meta({ id: "Receipt" });

export type ReceiptContent = z.infer<typeof receiptContentSchema>;
export type Receipt = z.infer<typeof receiptSchema>;
