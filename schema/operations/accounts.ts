import { z } from "zod";
import { defineOperation } from "../operation.ts";
import { pageFields, pageOf } from "../pages.ts";
import {
  AUTH_PURPOSES,
  accountSchema,
  balanceSchema,
  challengeSchema,
  sessionSchema,
  transferSchema,
} from "../resources/account.ts";
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
