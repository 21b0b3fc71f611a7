/** All that one reservation writes, and its answer, put together before the database is asked. */
import { type Cluster, type Id, type InputOf, type Operations, type Rail, toMoney } from "@volley/schema";
import { type Context, newId } from "../context.ts";
import type { IdempotencyRecord } from "../idempotency/key.ts";
import { bill } from "../market/price.ts";
import type { QuotePayload } from "../market/quote-payload.ts";
import { toQuoteResource } from "../market/to-quote-resource.ts";
import { commitmentFor } from "../payments/inbound/commitment-for.ts";
import { newReference } from "../payments/solana-pay/transfer-request.ts";
import { type PaymentRow, toPaymentResource } from "../payments/to-payment-resource.ts";
import type { ReadPayment } from "../payments/x402/read-payment.ts";
import { clusterSecret, secretHashOf } from "./cluster-secret.ts";
import { clusterFields } from "./to-cluster-resource.ts";
import type { HoldLimits } from "./unpaid-holds.ts";

type ReserveInput = InputOf<Operations["clusters.reserve"]>;

export const SCOPE_PREFIX = "clusters.reserve:";
/** At this setting a caller's unpaid reservations are not counted at all. */
const HOLDS_UNLIMITED = 1_000_000;
/** Below the range that operating systems take ports for outgoing connections from. */
const MASTER_PORT_MIN = 20_000;
const MASTER_PORTS = 10_000;

export interface Reservation {
  /** The argument of the SQL function `reserve_cluster`. */
  readonly request: Readonly<Record<string, unknown>>;
  /** Without the secret. */
  readonly cluster: Cluster;
  /** Null where an account opens the cluster. */
  readonly secret: string | null;
}

/** Of whom the Idempotency-Keys of reservations are: anonymous callers are told apart by their network addresses. */
export function reservationScope(ctx: Context): string {
  return SCOPE_PREFIX + (ctx.actor.kind === "bearer" ? ctx.actor.tokenHash : ctx.callerHash);
}

/** What the quoted machines cost for all of the time. */
export function totalOf({ wish, ranks, feeBps }: QuotePayload): bigint {
  const uses = ranks.map(({ rateMicroUsdcPerGpuHour }) => ({
    rateMicroUsdcPerGpuHour,
    gpus: wish.gpus_per_node,
    seconds: wish.duration_seconds,
  }));
  return bill(uses, feeBps).totalMicroUsdc;
}

export function buildReservation(
  ctx: Context,
  input: ReserveInput,
  quote: QuotePayload,
  record: IdempotencyRecord,
  limits: HoldLimits | null,
  sponsored: ReadPayment | null,
): Reservation {
  const nowMs = ctx.clock.nowMs();
  const { wish, ranks, feeBps } = quote;
  const id = newId(ctx, "cluster");
  const totalMicroUsdc = totalOf(quote);
  const payment = newPayment(ctx, id, totalMicroUsdc, input.payment.rail);
  const isPaid = payment.status === "settled";
  const row = {
    id,
    status: isPaid ? ("provisioning" as const) : ("awaiting_payment" as const),
    statusReason: null,
    quoteId: quote.id,
    gpu: wish.gpu,
    gpusPerNode: wish.gpus_per_node,
    durationSeconds: wish.duration_seconds,
    totalMicroUsdc,
    image: input.image ?? null,
    name: input.name ?? null,
    metadata: input.metadata,
    clientReference: input.client_reference ?? null,
    refundAddress: input.refund_address ?? null,
    createdAt: nowMs,
    readyAt: null,
    endsAt: null,
    stoppedAt: null,
  };
  const cluster: Cluster = {
    ...clusterFields(row),
    credit: toMoney(0n),
    payment: toPaymentResource(ctx.settings, payment),
    nodes: ranks.map((rank, index) => ({
      rank: index,
      node_id: rank.nodeId,
      status: "reserved",
      hostname: hostnameOf(index),
      gpu: wish.gpu,
      gpus: wish.gpus_per_node,
      country: rank.country,
      region: rank.region,
      ready_at: null,
      exit_code: null,
      reason: null,
    })),
    bill: null,
  };
  const secret = clusterSecret(ctx.settings, id);
  const session = ctx.actor.kind === "bearer" ? ctx.actor.tokenHash : null;
  const [high = 0, low = 0] = ctx.random.bytes(2);
  return {
    cluster,
    secret: session === null ? secret : null,
    request: {
      now_ms: nowMs,
      scope: reservationScope(ctx),
      scope_prefix: SCOPE_PREFIX,
      key: record.key,
      fingerprint: record.fingerprint,
      key_expires_at: record.expiresAtMs,
      // As text, so that a repeated request gets the same bytes.
      response: { body: JSON.stringify(cluster) },
      quote_expires_at: quote.expiresAtMs,
      holds_max: ctx.settings.holdsPerCallerMax < HOLDS_UNLIMITED ? ctx.settings.holdsPerCallerMax : null,
      held_gpus_per_caller_max: limits?.perCaller ?? null,
      session_hash: session,
      cluster: {
        id,
        secret_hash: secretHashOf(secret),
        caller_hash: ctx.callerHash,
        quote_id: quote.id,
        quote: toQuoteResource(quote, input.quote_token),
        gpu: row.gpu,
        gpus_per_node: row.gpusPerNode,
        duration_seconds: row.durationSeconds,
        fee_bps: feeBps,
        total_micro_usdc: totalMicroUsdc.toString(),
        image: row.image,
        startup_script: input.startup_script ?? null,
        env: input.env,
        name: row.name,
        metadata: row.metadata,
        client_reference: row.clientReference,
        refund_address: row.refundAddress,
        master_port: MASTER_PORT_MIN + ((high * 256 + low) % MASTER_PORTS),
      },
      payment: {
        id: payment.id,
        hold_transfer_id: payment.holdTransferId,
        fund_transfer_id: isPaid ? newId(ctx, "transfer") : null,
        rail: payment.rail,
        amount_micro_usdc: totalMicroUsdc.toString(),
        recipient: payment.recipient,
        mint: payment.mint,
        reference: payment.reference,
        commitment: payment.commitment,
        expires_at: payment.expiresAt,
      },
      leases: ranks.map((rank, index) => ({
        id: newId(ctx, "lease"),
        rank: index,
        node_id: rank.nodeId,
        gpus: wish.gpus_per_node,
        rate_micro_usdc_per_gpu_hour: rank.rateMicroUsdcPerGpuHour.toString(),
        hostname: hostnameOf(index),
      })),
      ...(sponsored === null
        ? {}
        : {
            sponsored: {
              id: sponsored.id,
              transaction_base64: sponsored.transactionBase64,
              payer_signature: sponsored.payerSignature,
              last_valid_block_height: sponsored.lastValidBlockHeight.toString(),
            },
          }),
      event_id: newId(ctx, "event"),
      event_data: { total: toMoney(totalMicroUsdc), payment_id: payment.id },
      paid_event_id: isPaid ? newId(ctx, "event") : null,
    },
  };
}

const hostnameOf = (rank: number) => `rank-${rank}`;

/** From the balance it is paid at once, or the whole reservation fails; by any other rail it has to come. */
function newPayment(ctx: Context, clusterId: Id<"cluster">, amountMicroUsdc: bigint, rail: Rail): PaymentRow {
  const nowMs = ctx.clock.nowMs();
  const isPaid = rail === "balance";
  return {
    id: newId(ctx, "payment"),
    clusterId,
    purpose: "reserve",
    customerId: null,
    rail,
    status: isPaid ? "settled" : "pending",
    amountMicroUsdc,
    receivedMicroUsdc: isPaid ? amountMicroUsdc : 0n,
    holdTransferId: newId(ctx, "transfer"),
    recipient: isPaid ? null : ctx.settings.treasuryAddress,
    mint: isPaid ? null : ctx.settings.usdcMint,
    reference: isPaid ? null : newReference(ctx.random),
    checkoutUrl: null,
    commitment: commitmentFor(amountMicroUsdc, ctx.settings),
    extensionSeconds: null,
    expiresAt: nowMs + ctx.settings.paymentLifetimeSeconds * 1000,
    createdAt: nowMs,
    settledAt: isPaid ? nowMs : null,
    scannedUntil: null,
  };
}
