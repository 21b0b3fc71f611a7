import { z } from "zod";
import { idSchema } from "../ids.ts";
import { usdcInputSchema } from "../money.ts";
import { defineOperation } from "../operation.ts";
import { pageFields, pageOf } from "../pages.ts";
import {
  paymentRequestInfoSchema,
  paymentSchema,
  paymentTransactionSchema,
  payoutSchema,
  refundSchema,
} from "../resources/payment.ts";
import { solanaAddress } from "./clusters.ts";

export const paymentsGet = defineOperation({
  id: "payments.get",
  summary: "One payment: its state, what is missing, and refunds",
  method: "GET",
  path: "/v1/payments/{id}",
  graphql: { kind: "query", field: "payment" },
  input: z.strictObject({ id: idSchema("payment") }),
  output: paymentSchema,
  errors: ["unauthenticated", "credential_invalid", "not_found"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "read",
});

export const paymentsList = defineOperation({
  id: "payments.list",
  summary: "The account's payments, newest first",
  method: "GET",
  path: "/v1/payments",
  graphql: { kind: "query", field: "payments" },
  input: z.strictObject({ ...pageFields }),
  output: pageOf(paymentSchema, "PaymentPage"),
  errors: ["unauthenticated", "credential_invalid", "invalid_cursor"],
  scope: "account",
  idempotency: "none",
  rateLimit: "read",
});

export const paymentsRequestInfo = defineOperation({
  id: "payments.request_info",
  summary: "Solana Pay transaction request: who asks, for wallets",
  method: "GET",
  path: "/v1/payments/{id}/transaction",
  graphql: { kind: "query", field: "paymentRequestInfo" },
  input: z.strictObject({ id: idSchema("payment") }),
  output: paymentRequestInfoSchema,
  errors: ["not_found"],
  scope: "none",
  idempotency: "none",
  rateLimit: "read",
});

export const paymentsTransaction = defineOperation({
  id: "payments.transaction",
  summary: "Solana Pay transaction request: the transaction that pays, for a wallet to sign",
  method: "POST",
  path: "/v1/payments/{id}/transaction",
  graphql: { kind: "mutation", field: "createPaymentTransaction" },
  // Not strict: applications should allow fields that a later specification adds (Solana Pay 1.1, "POST Response").
  input: z.object({
    id: idSchema("payment"),
    account: solanaAddress.describe("The wallet that will pay and sign."),
  }),
  output: paymentTransactionSchema,
  errors: ["not_found", "payment_closed", "address_invalid", "rail_unavailable", "insufficient_balance", "unavailable"],
  scope: "none",
  idempotency: "none",
  rateLimit: "write",
});

/** Message and signature by which an address proves that it is its owner's. */
const addressProof = z
  .strictObject({
    nonce: z.string().min(8).max(64).describe("Of a challenge with purpose refund_address."),
    signature: z.string().min(64).max(100).describe("Ed25519 over the challenge's message, base58."),
  })
  .meta({ id: "AddressProof" });

export const refundsCreate = defineOperation({
  id: "refunds.create",
  summary: "Sends a cluster's credit, or money of the account's balance, to an address on chain",
  method: "POST",
  path: "/v1/refunds",
  graphql: { kind: "mutation", field: "createRefund" },
  input: z.strictObject({
    cluster_id: idSchema("cluster").optional().describe("The whole credit of this cluster; absent: of the balance."),
    amount: usdcInputSchema.optional().describe("Of the balance; all that is available when absent."),
    to: solanaAddress.describe("Wallet that receives the USDC. One that isn't proved has to wait."),
    proof: addressProof.optional(),
  }),
  output: refundSchema,
  status: 201,
  errors: [
    "unauthenticated",
    "credential_invalid",
    "not_found",
    "nothing_to_refund",
    "insufficient_balance",
    "account_frozen",
    "rate_limited",
    "address_refused",
    "address_invalid",
    "challenge_invalid",
    "signature_invalid",
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
  ],
  scope: "holder",
  idempotency: "required",
  rateLimit: "write",
});

export const refundsGet = defineOperation({
  id: "refunds.get",
  summary: "One refund",
  method: "GET",
  path: "/v1/refunds/{id}",
  graphql: { kind: "query", field: "refund" },
  input: z.strictObject({ id: idSchema("refund") }),
  output: refundSchema,
  errors: ["unauthenticated", "credential_invalid", "not_found"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "read",
});

export const refundsList = defineOperation({
  id: "refunds.list",
  summary: "Refunds of the account and of its clusters, newest first",
  method: "GET",
  path: "/v1/refunds",
  graphql: { kind: "query", field: "refunds" },
  input: z.strictObject({ ...pageFields }),
  output: pageOf(refundSchema, "RefundPage"),
  errors: ["unauthenticated", "credential_invalid", "invalid_cursor"],
  scope: "account",
  idempotency: "none",
  rateLimit: "read",
});

export const refundsCancel = defineOperation({
  id: "refunds.cancel",
  summary: "Takes back a refund that has not been signed yet",
  method: "DELETE",
  path: "/v1/refunds/{id}",
  graphql: { kind: "mutation", field: "cancelRefund" },
  input: z.strictObject({ id: idSchema("refund") }),
  output: refundSchema,
  errors: [
    "unauthenticated",
    "credential_invalid",
    "not_found",
    "refund_not_cancellable",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
  ],
  scope: "holder",
  idempotency: "optional",
  rateLimit: "write",
});

export const payoutsList = defineOperation({
  id: "payouts.list",
  summary: "Payouts to the suppliers whose payout wallet has signed in, newest first",
  method: "GET",
  path: "/v1/payouts",
  graphql: { kind: "query", field: "payouts" },
  input: z.strictObject({ ...pageFields }),
  output: pageOf(payoutSchema, "PayoutPage"),
  errors: ["unauthenticated", "credential_invalid", "invalid_cursor"],
  scope: "account",
  idempotency: "none",
  rateLimit: "read",
});
