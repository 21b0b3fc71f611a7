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
    chain: z.string().describe("The account's id, or the cluster's where nobody had signed in."),
    sequence: z.number().int(),
    previous_hash: z.string().nullable().describe("SHA-256 of the JWS before it, hex; null for the first."),
    issued_at: timestampSchema,
    cluster_id: idOutput("cluster"),
    quote_id: idOutput("quote"),
    gpu: z.string(),
    gpus_per_node: z.number().int(),
    quoted: moneySchema,
    ready_at: timestampSchema.nullable(),
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
          amount: moneySchema,
        })
        .meta({ id: "ReceiptNode" }),
    ),
    platform_fee: moneySchema,
    charged: moneySchema,
    payments: z.array(
      z
        .object({
          id: idOutput("payment"),
          rail: z.string(),
          received: moneySchema,
          signatures: z.array(z.string()),
        })
        .meta({ id: "ReceiptPayment" }),
    ),
    refund: z
      .object({ id: z.string().nullable(), amount: moneySchema, to: z.string() })
      .meta({ id: "ReceiptRefund" })
      .describe("Where the rest went: an address, the balance, or credit of the cluster."),
  })
  .meta({ id: "ReceiptContent" });

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
