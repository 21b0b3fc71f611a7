import { z } from "zod";
import { idOutput } from "../ids.ts";
import { moneySchema } from "../money.ts";
import { timestampSchema } from "../time.ts";
import { paymentSchema, REFUND_STATUSES } from "./payment.ts";

export const CLUSTER_STATUSES = [
  "awaiting_payment",
  "provisioning",
  "running",
  "stopping",
  "stopped",
  "expired",
  "failed",
] as const;
export const clusterStatusSchema = z.enum(CLUSTER_STATUSES).meta({ id: "ClusterStatus" });

export const CLUSTER_REASONS = ["released", "lease_ended", "supplier_fault", "gang_failed", "unpaid"] as const;
export const clusterReasonSchema = z.enum(CLUSTER_REASONS).meta({ id: "ClusterReason" });

export const CLUSTER_NODE_STATUSES = [
  "reserved",
  "starting",
  "ready",
  "exited",
  "stopping",
  "stopped",
  "failed",
] as const;
export const clusterNodeStatusSchema = z.enum(CLUSTER_NODE_STATUSES).meta({ id: "ClusterNodeStatus" });

/** One rank of a cluster on the machine that carries it. */
export const clusterNodeSchema = z
  .object({
    rank: z.number().int(),
    node_id: idOutput("node"),
    status: clusterNodeStatusSchema,
    hostname: z.string(),
    gpu: z.string(),
    gpus: z.number().int(),
    country: z.string(),
    region: z.string(),
    ready_at: timestampSchema.nullable(),
    exit_code: z
      .number()
      .int()
      .nullable()
      .describe("Of the startup script when it failed and left the rank `exited`; 128 + n is an end by signal n."),
    reason: z.string().nullable().describe("Why this rank failed or ended, in a sentence."),
  })
  .meta({ id: "ClusterNode" });

export const billSchema = z
  .object({
    billed_seconds: z.array(
      z.object({ rank: z.number().int(), seconds: z.number().int() }).meta({ id: "BilledSeconds" }),
    ),
    compute: moneySchema,
    platform_fee: moneySchema,
    charged: moneySchema,
    paid: moneySchema.describe("What has come, less what other refunds sent back: charged and refund add up to it."),
    refund: z
      .object({
        id: z.string().nullable().describe("Null when nothing is sent on chain."),
        amount: moneySchema,
        to: z.string().describe('A Solana address, "balance" of the account, or "credit" of this cluster.'),
        status: z.enum(["credited", ...REFUND_STATUSES]),
        signature: z.string().nullable(),
      })
      .meta({ id: "BillRefund" }),
    receipt_id: idOutput("receipt").nullable().describe("Null until it is signed, and where receipts are off."),
  })
  .meta({ id: "Bill" });

export const clusterSchema = z
  .object({
    id: idOutput("cluster"),
    object: z.literal("cluster"),
    status: clusterStatusSchema,
    status_reason: clusterReasonSchema.nullable(),
    quote_id: idOutput("quote"),
    gpu: z.string(),
    gpus_per_node: z.number().int(),
    duration_seconds: z.number().int(),
    total: moneySchema,
    credit: moneySchema.describe("Money of this cluster that is neither held nor spent; refunds.create sends it on."),
    refund_address: z.string().nullable(),
    created_at: timestampSchema,
    ready_at: timestampSchema.nullable(),
    ends_at: timestampSchema.nullable(),
    stopped_at: timestampSchema.nullable(),
    secret: z.string().nullable().describe("Bearer credential of this cluster; only in the answer to reserve."),
    payment: paymentSchema,
    nodes: z.array(clusterNodeSchema),
    bill: billSchema.nullable(),
    image: z.string().nullable(),
    name: z.string().nullable(),
    metadata: z.record(z.string(), z.string()),
    client_reference: z.string().nullable(),
  })
  .meta({ id: "Cluster" });

export const clusterExtensionSchema = z
  .object({
    object: z.literal("cluster_extension"),
    cluster_id: idOutput("cluster"),
    duration_seconds: z.number().int(),
    total: moneySchema,
    ends_at: timestampSchema.describe("When the lease ends once the extension is paid."),
    dry_run: z.boolean(),
    payment: paymentSchema.nullable().describe("Null for a dry run, and when credit paid for it."),
  })
  .meta({ id: "ClusterExtension" });

export const EVENT_TYPES = [
  "cluster.reserved",
  "cluster.paid",
  "cluster.expired",
  "cluster.node_ready",
  "cluster.node_exited",
  "cluster.running",
  "cluster.extended",
  "cluster.stopping",
  "cluster.stopped",
  "cluster.failed",
  "payment.detected",
  "payment.settled",
  "payment.underpaid",
  "payment.overpaid",
  "payment.late",
  "payment.rejected",
  "refund.created",
  "refund.held",
  "refund.sent",
  "refund.finalized",
] as const;

export const eventSchema = z
  .object({
    id: idOutput("event"),
    object: z.literal("event"),
    type: z.enum(EVENT_TYPES),
    cluster_id: idOutput("cluster"),
    created_at: timestampSchema,
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Event" });

/** A piece of output. Bytes that are not UTF-8 come in base64. */
export const outputSchema = z
  .object({
    type: z.enum(["stdout", "stderr", "exit"]),
    rank: z.number().int(),
    data: z.string().nullable().describe("Text, or base64; null on exit."),
    encoding: z.enum(["utf-8", "base64"]),
    code: z.number().int().nullable().describe("Exit code; only on exit."),
    reason: z.string().nullable().describe("Why there is no regular exit code, in a sentence."),
  })
  .meta({ id: "Output" });

export type Bill = z.infer<typeof billSchema>;
/** As the cluster's row keeps it; its receipt names the cluster. */
export type KeptBill = Omit<Bill, "receipt_id">;
export type Cluster = z.infer<typeof clusterSchema>;
export type ClusterNode = z.infer<typeof clusterNodeSchema>;
export type ClusterStatus = z.infer<typeof clusterStatusSchema>;
export type ClusterReason = z.infer<typeof clusterReasonSchema>;
export type ClusterNodeStatus = z.infer<typeof clusterNodeStatusSchema>;
export type ClusterExtension = z.infer<typeof clusterExtensionSchema>;
export type Event = z.infer<typeof eventSchema>;
export type EventType = (typeof EVENT_TYPES)[number];
export type Output = z.infer<typeof outputSchema>;
