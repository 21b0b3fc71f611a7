/** Machines and reservations straight into the database, for tests that are not about reserving. */
import { createHash, randomBytes } from "node:crypto";
import { toMoney } from "@volley/schema/money";
import { toTimestamp } from "@volley/schema/time";
import { sql } from "drizzle-orm";
import { type Context, newId } from "../../api/context.ts";
import { rows } from "../../api/db/database.ts";
import { nodes, suppliers } from "../../api/db/tables.ts";
import { commitmentFor } from "../../api/payments/inbound/commitment-for.ts";
import { newReference } from "../../api/payments/solana-pay/transfer-request.ts";

type ReservingContext = Pick<Context, "db" | "clock" | "random" | "settings">;

/** A supplier with one machine of many slots. */
export async function insertNode(ctx: ReservingContext, gpus = 1_000): Promise<{ nodeId: string; supplierId: string }> {
  const supplierId = newId(ctx, "supplier");
  const nodeId = newId(ctx, "node");
  const createdAt = ctx.clock.nowMs();
  await ctx.db.insert(suppliers).values({ id: supplierId, name: "test", class: "network", createdAt });
  await ctx.db.insert(nodes).values({
    id: nodeId,
    supplierId,
    adapter: "simulated",
    gpu: "cpu",
    gpusTotal: gpus,
    gpusFree: gpus,
    priceMicroUsdcPerGpuHour: 1_000_000n,
    country: "DE",
    region: "test",
    latitude: 0,
    longitude: 0,
    interconnect: "ethernet",
    reliabilityPpm: 990_000,
    isolation: "container",
    cpuCores: 8,
    memoryGib: 16,
    diskGib: 100,
    status: "online",
    createdAt,
  });
  return { nodeId, supplierId };
}

export interface ReservationOptions {
  readonly nodeId: string;
  readonly amountMicroUsdc: bigint;
  readonly refundAddress?: string;
  /** From now; ten minutes when absent. */
  readonly lifetimeMs?: number;
}

export interface Reservation {
  readonly clusterId: string;
  readonly paymentId: string;
  readonly reference: string;
  readonly amountMicroUsdc: bigint;
  /** Hash of the cluster's secret, which an actor presents. */
  readonly secretHash: string;
  readonly expiresAtMs: number;
}

/** A cluster of one rank that awaits its payment, made by the same SQL function that reserving calls. */
export async function insertReservation(ctx: ReservingContext, options: ReservationOptions): Promise<Reservation> {
  const nowMs = ctx.clock.nowMs();
  const { amountMicroUsdc } = options;
  const reservation: Reservation = {
    clusterId: newId(ctx, "cluster"),
    paymentId: newId(ctx, "payment"),
    reference: newReference(ctx.random),
    amountMicroUsdc,
    secretHash: createHash("sha256").update(randomBytes(32)).digest("hex"),
    expiresAtMs: nowMs + (options.lifetimeMs ?? 600_000),
  };
  const quoteId = newId(ctx, "quote");
  const request = {
    scope: `clusters.reserve:${reservation.clusterId}`,
    scope_prefix: "clusters.reserve:",
    key: reservation.clusterId,
    fingerprint: "test",
    response: {},
    now_ms: nowMs,
    key_expires_at: nowMs + 1_000_000,
    quote_expires_at: nowMs + 600_000,
    holds_max: 1_000_000,
    cluster: {
      id: reservation.clusterId,
      secret_hash: reservation.secretHash,
      caller_hash: "test",
      quote_id: quoteId,
      quote: quoteOf(quoteId, nowMs, amountMicroUsdc),
      gpu: "cpu",
      gpus_per_node: 1,
      duration_seconds: 3600,
      fee_bps: 500,
      total_micro_usdc: amountMicroUsdc.toString(),
      env: {},
      metadata: {},
      refund_address: options.refundAddress ?? null,
      master_port: 29500,
    },
    payment: {
      id: reservation.paymentId,
      hold_transfer_id: newId(ctx, "transfer"),
      rail: "solana_pay",
      amount_micro_usdc: amountMicroUsdc.toString(),
      recipient: ctx.settings.treasuryAddress,
      mint: ctx.settings.usdcMint,
      reference: reservation.reference,
      commitment: commitmentFor(amountMicroUsdc, ctx.settings),
      expires_at: reservation.expiresAtMs,
    },
    leases: [
      {
        id: newId(ctx, "lease"),
        rank: 0,
        node_id: options.nodeId,
        gpus: 1,
        rate_micro_usdc_per_gpu_hour: "1000000",
        hostname: "rank-0",
      },
    ],
    event_id: newId(ctx, "event"),
    event_data: {},
  };
  const [answer] = await rows<{ answer: { outcome: string } }>(
    ctx.db,
    sql`SELECT reserve_cluster(${JSON.stringify(request)}::jsonb) AS answer`,
  );
  if (answer?.answer.outcome !== "reserved") throw new Error(`not reserved: ${JSON.stringify(answer)}`);
  return reservation;
}

function quoteOf(id: string, nowMs: number, totalMicroUsdc: bigint) {
  return {
    id,
    object: "quote",
    token: "test",
    created_at: toTimestamp(nowMs),
    expires_at: toTimestamp(nowMs + 600_000),
    gpu: "cpu",
    nodes: 1,
    gpus_per_node: 1,
    duration_seconds: 3600,
    price_per_gpu_hour: toMoney(1_000_000n),
    lines: [],
    total: toMoney(totalMicroUsdc),
    plan: [],
    rtt_ms_max: 0,
    alternatives: [],
  };
}
