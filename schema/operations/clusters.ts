import { z } from "zod";
import { idSchema } from "../ids.ts";
import { defineOperation } from "../operation.ts";
import { pageFields, pageOf } from "../pages.ts";
import {
  CLUSTER_STATUSES,
  clusterExtensionSchema,
  clusterSchema,
  eventSchema,
  outputSchema,
} from "../resources/cluster.ts";
import { RAILS } from "../resources/payment.ts";
import { QUOTE_TOKEN_LENGTH_MAX } from "./market.ts";

const ENV_ENTRIES_MAX = 100;
const METADATA_ENTRIES_MAX = 50;

const environment = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be a variable name of letters, digits and _")
      .refine((name) => !name.startsWith("VOLLEY_"), "names that begin with VOLLEY_ are set by Volley"),
    z.string().max(8192),
  )
  .refine((env) => Object.keys(env).length <= ENV_ENTRIES_MAX, `takes at most ${ENV_ENTRIES_MAX} variables`);

const metadata = z
  .record(z.string().min(1).max(40), z.string().max(500))
  .refine((map) => Object.keys(map).length <= METADATA_ENTRIES_MAX, `takes at most ${METADATA_ENTRIES_MAX} entries`);

/** Base58 of 32 bytes; whether it can receive USDC is the verb's check. */
export const solanaAddress = z.string().regex(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/, "must be a Solana address in base58");

const lastEventId = z.string().max(4096).optional().describe("Resume after this event; also the Last-Event-ID header.");

export const clustersReserve = defineOperation({
  id: "clusters.reserve",
  summary: "Claims the quoted machines and says how to pay",
  method: "POST",
  path: "/v1/clusters",
  graphql: { kind: "mutation", field: "reserveCluster" },
  input: z.strictObject({
    quote_token: z.string().min(1).max(QUOTE_TOKEN_LENGTH_MAX),
    image: z
      .string()
      .regex(/^[a-z0-9][a-zA-Z0-9._/:@-]{0,254}$/, "must be an image name such as docker.io/library/node:24-slim")
      .optional()
      .describe("Container image; the machine's base image when absent."),
    startup_script: z.string().min(1).max(65_536).optional().describe("Shell script, the main process of each rank."),
    env: environment.default({}),
    name: z.string().min(1).max(100).optional(),
    metadata: metadata.default({}),
    client_reference: z.string().min(1).max(200).optional(),
    payment: z
      .strictObject({
        rail: z.enum(RAILS).describe("`balance` needs an account; a card only tops up a balance."),
        x402_payload: z
          .string()
          .max(16_384)
          .optional()
          .describe("x402 PaymentPayload in base64; on REST the PAYMENT-SIGNATURE header."),
      })
      .default({ rail: "solana_pay" }),
    refund_address: solanaAddress
      .optional()
      .describe("Wallet that gets unused money back on chain. Without it the rest stays credit of the cluster."),
  }),
  output: clusterSchema,
  status: 201,
  errors: [
    "quote_invalid",
    "quote_expired",
    "quote_used",
    "capacity_gone",
    "address_invalid",
    "rail_unavailable",
    "payment_required",
    "payment_invalid",
    "payment_failed",
    "payment_used",
    "insufficient_balance",
    "account_frozen",
    "address_refused",
    "credential_invalid",
    "holds_exceeded",
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
    "unavailable",
  ],
  scope: "none",
  idempotency: "required",
  rateLimit: "write",
});

export const clustersGet = defineOperation({
  id: "clusters.get",
  summary: "One cluster",
  method: "GET",
  path: "/v1/clusters/{id}",
  graphql: { kind: "query", field: "cluster" },
  input: z.strictObject({ id: idSchema("cluster") }),
  output: clusterSchema,
  errors: ["unauthenticated", "credential_invalid", "not_found"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "read",
});

export const clustersList = defineOperation({
  id: "clusters.list",
  summary: "The clusters that the credential opens, newest first",
  method: "GET",
  path: "/v1/clusters",
  graphql: { kind: "query", field: "clusters" },
  input: z.strictObject({ status: z.enum(CLUSTER_STATUSES).optional(), ...pageFields }),
  output: pageOf(clusterSchema, "ClusterPage"),
  errors: ["unauthenticated", "credential_invalid", "invalid_cursor"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "read",
});

export const clustersExtend = defineOperation({
  id: "clusters.extend",
  summary: "More time at the quoted rates",
  method: "POST",
  path: "/v1/clusters/{id}/extend",
  graphql: { kind: "mutation", field: "extendCluster" },
  input: z.strictObject({
    id: idSchema("cluster"),
    duration_seconds: z.number().int(),
    dry_run: z.boolean().default(false).describe("Only say what it would cost."),
  }),
  output: clusterExtensionSchema,
  errors: [
    "unauthenticated",
    "credential_invalid",
    "not_found",
    "cluster_not_running",
    "duration_out_of_range",
    "insufficient_balance",
    "account_frozen",
    "unavailable",
    "idempotency_key_missing",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
  ],
  scope: "holder",
  idempotency: "required",
  rateLimit: "write",
});

export const clustersTeardown = defineOperation({
  id: "clusters.teardown",
  summary: "Stops metering at once; answers with the final bill",
  method: "DELETE",
  path: "/v1/clusters/{id}",
  graphql: { kind: "mutation", field: "teardownCluster" },
  input: z.strictObject({ id: idSchema("cluster") }),
  output: clusterSchema,
  errors: [
    "unauthenticated",
    "credential_invalid",
    "not_found",
    "cluster_ended",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "idempotency_in_progress",
  ],
  scope: "holder",
  idempotency: "optional",
  rateLimit: "write",
});

export const clustersExec = defineOperation({
  id: "clusters.exec",
  summary: "Runs a command on one rank or on all",
  method: "POST",
  path: "/v1/clusters/{id}/exec",
  graphql: { kind: "subscription", field: "clusterExec" },
  input: z.strictObject({
    id: idSchema("cluster"),
    command: z
      .union([z.string().min(1).max(65_536), z.array(z.string().max(65_536)).min(1).max(256)])
      .describe("A shell line, or program and arguments."),
    rank: z.number().int().min(0).optional().describe("All ranks when absent."),
    stdin: z.string().max(131_072).optional(),
    env: environment.default({}),
    timeout_seconds: z.number().int().min(1).max(2_592_000).default(3600),
    last_event_id: lastEventId,
  }),
  output: outputSchema,
  stream: { eventField: "type" },
  errors: [
    "unauthenticated",
    "credential_invalid",
    "not_found",
    "cluster_not_running",
    "idempotency_key_invalid",
    "idempotency_mismatch",
    "invalid_cursor",
    "rate_limited",
  ],
  scope: "holder",
  idempotency: "optional",
  rateLimit: "stream",
});

export const clustersLogs = defineOperation({
  id: "clusters.logs",
  summary: "Output of the startup scripts",
  method: "GET",
  path: "/v1/clusters/{id}/logs",
  graphql: { kind: "subscription", field: "clusterLogs" },
  input: z.strictObject({
    id: idSchema("cluster"),
    rank: z.coerce.number().int().min(0).optional(),
    follow: z.stringbool().or(z.boolean()).default(true).describe("Stay until the cluster has ended."),
    last_event_id: lastEventId,
  }),
  output: outputSchema,
  stream: { eventField: "type" },
  errors: ["unauthenticated", "credential_invalid", "not_found", "invalid_cursor"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "stream",
});

export const clustersEvents = defineOperation({
  id: "clusters.events",
  summary: "What happened to the cluster, from the beginning",
  method: "GET",
  path: "/v1/clusters/{id}/events",
  graphql: { kind: "subscription", field: "clusterEvents" },
  input: z.strictObject({
    id: idSchema("cluster"),
    follow: z.stringbool().or(z.boolean()).default(true).describe("Stay until the cluster has ended."),
    last_event_id: lastEventId,
  }),
  output: eventSchema,
  stream: { eventField: "type" },
  errors: ["unauthenticated", "credential_invalid", "not_found", "invalid_cursor"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "stream",
});
