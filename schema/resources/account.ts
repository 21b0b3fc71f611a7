import { z } from "zod";
import { idOutput } from "../ids.ts";
import { moneySchema } from "../money.ts";
import { timestampSchema } from "../time.ts";

/** Whoever signs in with a wallet: one account per wallet. */
export const accountSchema = z
  .object({
    id: idOutput("account"),
    object: z.literal("account"),
    wallet: z.string().describe("Solana address that signs in."),
    frozen: z.boolean().describe("While true nothing can be reserved, spent or sent back."),
    frozen_reason: z.string().nullable(),
    created_at: timestampSchema,
  })
  .meta({ id: "Account" });

export const balanceSchema = z
  .object({
    object: z.literal("balance"),
    account_id: idOutput("account"),
    available: moneySchema.describe("What can be spent or sent back now."),
    held: moneySchema.describe("Bound by clusters that are reserved or running."),
    maturing: moneySchema.describe(
      "Has come for a top-up and can't be spent yet: not final on chain, or paid by card a short time ago.",
    ),
    disputed: moneySchema.describe("Paid by card and disputed."),
  })
  .meta({ id: "Balance" });

export const TRANSFER_KINDS = ["posted", "pending", "fund", "post", "void"] as const;

/** One row of the ledger that touches the account's balance. Rows never change; corrections are rows of their own. */
export const transferSchema = z
  .object({
    id: idOutput("transfer"),
    object: z.literal("transfer"),
    kind: z.enum(TRANSFER_KINDS).describe("`pending` and `fund` bind money, `post` spends it, `void` frees it."),
    direction: z.enum(["in", "out"]),
    amount: moneySchema,
    reason: z.string(),
    reference: z.string().describe("Of the cluster, payment, refund or transaction that it was for."),
    pending_id: z.string().nullable().describe("The pending transfer that it is the second phase of."),
    created_at: timestampSchema,
  })
  .meta({ id: "Transfer" });

/** USDC that reached us without saying for what, from the account's own wallet. */
export const unallocatedSchema = z
  .object({
    object: z.literal("unallocated_transfer"),
    signature: z.string(),
    index: z.number().int(),
    amount: moneySchema,
    source: z.string().nullable(),
    finality: z.enum(["confirmed", "finalized"]),
    received_at: timestampSchema,
    claimed: z.boolean(),
  })
  .meta({ id: "UnallocatedTransfer" });

export const AUTH_PURPOSES = ["sign_in", "refund_address"] as const;

/** What a wallet is asked to sign (Sign-In With Solana). */
export const challengeSchema = z
  .object({
    object: z.literal("challenge"),
    purpose: z.enum(AUTH_PURPOSES),
    address: z.string(),
    message: z.string().describe("To be signed exactly as it is, in UTF-8."),
    nonce: z.string(),
    expires_at: timestampSchema,
  })
  .meta({ id: "Challenge" });

export const sessionSchema = z
  .object({
    object: z.literal("session"),
    token: z.string().describe("Bearer credential of the account; shown once."),
    account: accountSchema,
    expires_at: timestampSchema,
  })
  .meta({ id: "Session" });

export type Account = z.infer<typeof accountSchema>;
export type Balance = z.infer<typeof balanceSchema>;
export type Transfer = z.infer<typeof transferSchema>;
export type UnallocatedTransfer = z.infer<typeof unallocatedSchema>;
export type Challenge = z.infer<typeof challengeSchema>;
export type Session = z.infer<typeof sessionSchema>;
