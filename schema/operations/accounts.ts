import { z } from "zod";
import { usdcInputSchema } from "../money.ts";
import { defineOperation } from "../operation.ts";
import { pageFields, pageOf } from "../pages.ts";
import {
  AUTH_PURPOSES,
  accountSchema,
  balanceSchema,
  challengeSchema,
  sessionSchema,
  transferSchema,
  unallocatedSchema,
} from "../resources/account.ts";
import { paymentSchema } from "../resources/payment.ts";
import { solanaAddress } from "./clusters.ts";

export const authChallenge = defineOperation({
  id: "auth.challenge",
  summary: "A message for a wallet to sign: to sign in, or to prove an address for refunds",
  method: "POST",
  path: "/v1/auth/challenge",
  graphql: { kind: "mutation", field: "createChallenge" },
  input: z.strictObject({
    address: solanaAddress,
    purpose: z.enum(AUTH_PURPOSES).default("sign_in"),
  }),
  output: challengeSchema,
  status: 201,
  errors: ["address_invalid"],
  scope: "none",
  idempotency: "none",
  rateLimit: "write",
});

export const authSession = defineOperation({
  id: "auth.session",
  summary: "Signs in with a signed challenge; the account is made at the first time",
  method: "POST",
  path: "/v1/auth/session",
  graphql: { kind: "mutation", field: "createSession" },
  input: z.strictObject({
    nonce: z.string().min(8).max(64),
    signature: z.string().min(64).max(100).describe("Ed25519 over the challenge's message, base58."),
  }),
  output: sessionSchema,
  status: 201,
  errors: ["challenge_invalid", "signature_invalid"],
  scope: "none",
  idempotency: "none",
  rateLimit: "write",
});

export const authEnd = defineOperation({
  id: "auth.end",
  summary: "Signs out: the session's token is worth nothing from now on",
  method: "DELETE",
  path: "/v1/auth/session",
  graphql: { kind: "mutation", field: "endSession" },
  input: z.strictObject({}),
  output: accountSchema,
  errors: ["unauthenticated", "credential_invalid"],
  scope: "account",
  idempotency: "none",
  rateLimit: "write",
});

export const accountGet = defineOperation({
  id: "account.get",
  summary: "The account that has signed in",
  method: "GET",
  path: "/v1/account",
  graphql: { kind: "query", field: "account" },
  input: z.strictObject({}),
  output: accountSchema,
  errors: ["unauthenticated", "credential_invalid"],
  scope: "account",
  idempotency: "none",
  rateLimit: "read",
});

export const balanceGet = defineOperation({
  id: "balance.get",
  summary: "What the account can spend, and what is bound",
  method: "GET",
  path: "/v1/account/balance",
  graphql: { kind: "query", field: "balance" },
  input: z.strictObject({}),
  output: balanceSchema,
  errors: ["unauthenticated", "credential_invalid"],
  scope: "account",
  idempotency: "none",
  rateLimit: "read",
});

export const transfersList = defineOperation({
  id: "transfers.list",
  summary: "The ledger of the account's balance, newest first",
  method: "GET",
  path: "/v1/account/transfers",
  graphql: { kind: "query", field: "transfers" },
  input: z.strictObject({ ...pageFields }),
  output: pageOf(transferSchema, "TransferPage"),
  errors: ["unauthenticated", "credential_invalid", "invalid_cursor"],
  scope: "account",
  idempotency: "none",
  rateLimit: "read",
});

export const topupsCreate = defineOperation({
  id: "topups.create",
  summary: "Asks for a payment into the balance",
  method: "POST",
  path: "/v1/account/topups",
  graphql: { kind: "mutation", field: "createTopup" },
  input: z.strictObject({
    amount: usdcInputSchema.describe("In USDC."),
    rail: z
      .enum(["solana_pay", "stripe"])
      .default("solana_pay")
      .describe("`stripe`: by card, on the page of `checkout_url`."),
  }),
  output: paymentSchema,
  status: 201,
  errors: [
    "unauthenticated",
    "credential_invalid",
    "account_frozen",
    "address_refused",
    "amount_out_of_range",
    "holds_exceeded",
    "rail_unavailable",
    "unavailable",
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
  ],
  scope: "account",
  idempotency: "required",
  rateLimit: "write",
});

export const unallocatedList = defineOperation({
  id: "unallocated.list",
  summary: "USDC from the account's wallet that reached us without saying for what, newest first",
  method: "GET",
  path: "/v1/account/unallocated",
  graphql: { kind: "query", field: "unallocatedTransfers" },
  input: z.strictObject({ ...pageFields }),
  output: pageOf(unallocatedSchema, "UnallocatedTransferPage"),
  errors: ["unauthenticated", "credential_invalid", "invalid_cursor"],
  scope: "account",
  idempotency: "none",
  rateLimit: "read",
});

export const unallocatedClaim = defineOperation({
  id: "unallocated.claim",
  summary: "Takes such a transfer into the balance; the wallet that signed in must be the one that sent it",
  method: "POST",
  path: "/v1/account/unallocated/claim",
  graphql: { kind: "mutation", field: "claimUnallocatedTransfer" },
  input: z.strictObject({
    signature: z.string().min(64).max(100),
    index: z.number().int().min(0).max(1000).default(0),
  }),
  output: unallocatedSchema,
  errors: [
    "unauthenticated",
    "credential_invalid",
    "not_found",
    "already_claimed",
    "account_frozen",
    "address_refused",
    "unavailable",
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
  ],
  scope: "account",
  idempotency: "required",
  rateLimit: "write",
});
