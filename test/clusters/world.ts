/** Rentals over a real database: simulated machines, payments written down as the watcher would, a clock of its own. */

import { randomBytes } from "node:crypto";
import { getBase58Decoder } from "@solana/kit";
import { type Cluster, type Id, makeId } from "@volley/schema";
import { eq, sql } from "drizzle-orm";
import { getCluster } from "../../api/clusters/get-cluster.ts";
import { reserveCluster } from "../../api/clusters/reserve.ts";
import { teardownCluster } from "../../api/clusters/teardown.ts";
import { type Context, newId } from "../../api/context.ts";
import { rows } from "../../api/db/database.ts";
import { events, leases, nodes, suppliers } from "../../api/db/tables.ts";
import { runTasks } from "../../api/jobs/engine.ts";
import { TASK_HANDLERS } from "../../api/jobs/handlers.ts";
import { auditCapacity } from "../../api/ledger/audit-capacity.ts";
import { auditLedger } from "../../api/ledger/audit-ledger.ts";
import { newMarket } from "../../api/market/market.ts";
import type { QuotePayload } from "../../api/market/quote-payload.ts";
import { signQuote } from "../../api/market/quote-token.ts";
import { recordInbound } from "../../api/payments/inbound/record-inbound.ts";
import type { Settings } from "../../api/settings.ts";
import { agentSupplier } from "../../api/supply/agent-supplier.ts";
import { type SimulatedFaults, simulatedSupplier } from "../../api/supply/simulated-supplier.ts";
import { createTestDatabase } from "../harness/database.ts";
import { bearer, contextAs, system, TEST_SETTINGS, type TestServices, testServices } from "../harness/services.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import { newKey } from "../supply/machine.ts";

export const RATE_MICRO_USDC = 3_600_000n;
/** The key of a wallet, any wallet. */
export const WALLET = getBase58Decoder().decode(Buffer.from(newKey().publicKey, "base64url"));

type ReserveInput = Parameters<typeof reserveCluster>[1];
type Reserved = Cluster & { secret: string };

export interface QuoteOptions {
  /** One per rank. */
  readonly nodeIds: readonly Id<"node">[];
  readonly gpus?: number;
  readonly durationSeconds?: number;
  readonly lifetimeMs?: number;
  readonly rate?: bigint;
}

export type World = Awaited<ReturnType<typeof newWorld>>;

export async function newWorld(
  options: { connectionsMax?: number; settings?: Partial<Settings>; parts?: Partial<TestServices> } = {},
) {
  const database = await createTestDatabase(options.connectionsMax ?? 12);
  const base = testServices(database, {
    market: newMarket(),
    settings: {
      ...TEST_SETTINGS,
      holdsPerCallerMax: 1_000_000,
      heldGpusPerCallerPercent: 100,
      heldGpusPercent: 100,
      ...options.settings,
    },
    ...options.parts,
  });
  const cloud = simulatedSupplier(base);
  const services: TestServices = { ...base, suppliers: { agent: agentSupplier(), simulated: cloud } };
  const supplierId = newId(services, "supplier");
  await services.db
    .insert(suppliers)
    .values({ id: supplierId, name: "test", class: "network", createdAt: services.clock.nowMs() });
  let signatures = 0;

  const world = {
    ...database,
    services,
    cloud,
    supplierId,
    clock: services.clock,
    system: () => system(services),
    holder: (cluster: { secret: string | null }, parts: Partial<Context> = {}) =>
      bearer(services, cluster.secret ?? "", parts),
    anyone: (parts: Partial<Context> = {}) => contextAs(services, { kind: "anonymous" }, parts),

    async node(gpus = 8, adapter: "simulated" | "agent" = "simulated"): Promise<Id<"node">> {
      const id = newId(services, "node");
      await services.db.insert(nodes).values({
        id,
        supplierId,
        adapter,
        gpu: "cpu",
        gpusTotal: gpus,
        gpusFree: gpus,
        priceMicroUsdcPerGpuHour: RATE_MICRO_USDC,
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
        createdAt: services.clock.nowMs(),
      });
      return id;
    },

    quote({ nodeIds, gpus = 1, durationSeconds = 3600, lifetimeMs = 600_000, rate = RATE_MICRO_USDC }: QuoteOptions) {
      const nowMs = services.clock.nowMs();
      const payload: QuotePayload = {
        id: makeId("quote", nowMs, randomBytes(10)),
        createdAtMs: nowMs,
        expiresAtMs: nowMs + lifetimeMs,
        feeBps: services.settings.platformFeeBps,
        wish: {
          gpu: "cpu",
          nodes: nodeIds.length,
          gpus_per_node: gpus,
          duration_seconds: durationSeconds,
          prefer: "price",
        },
        ranks: nodeIds.map((nodeId) => ({
          nodeId,
          rateMicroUsdcPerGpuHour: rate,
          country: "DE",
          region: "test",
          interconnect: "ethernet",
          reliabilityPpm: 990_000,
          isolation: "container",
          supplierClass: "network",
        })),
        rttMsMax: 0,
      };
      return signQuote(payload, services.settings.quoteKeys);
    },

    input: (quoteToken: string, parts: Partial<ReserveInput> = {}): ReserveInput => ({
      quote_token: quoteToken,
      env: {},
      metadata: {},
      payment: { rail: "solana_pay" },
      ...parts,
    }),

    async reserve(
      quoteToken: string,
      parts: Partial<ReserveInput> = {},
      context: Partial<Context> = {},
    ): Promise<Reserved> {
      const ctx = world.anyone({ idempotencyKey: randomBytes(8).toString("hex"), ...context });
      const cluster = await reserveCluster(ctx, world.input(quoteToken, parts));
      if (cluster.secret === null) throw new Error("a reservation answers its secret");
      return { ...cluster, secret: cluster.secret };
    },

    /** By somebody with a credential of their own. */
    reserveAs: (ctx: Context, quoteToken: string, parts: Partial<ReserveInput> = {}): Promise<Cluster> =>
      reserveCluster(ctx, world.input(quoteToken, parts)),

    /** Money arrives on chain for the payment, a moment ago or in a block of an earlier time, and is seen. */
    async pay(
      payment: Cluster["payment"],
      microUsdc?: bigint,
      { finality = "finalized", landedMs }: { finality?: "confirmed" | "finalized"; landedMs?: number } = {},
    ) {
      const amountMicroUsdc = microUsdc ?? micro(payment.amount.amount);
      const { reference } = solanaPayOf(payment);
      await recordInbound(system(services), {
        signature: `signature-${++signatures}`,
        slot: BigInt(signatures),
        blockTimeSeconds: landedMs === undefined ? null : Math.floor(landedMs / 1000),
        finality,
        transfers: [{ index: 0, amountMicroUsdc, sourceOwner: null, referenceKeys: [reference], reference }],
      });
    },

    /** Works through everything that is due; chain and signer are not part of this. */
    async settle(owner = "worker"): Promise<void> {
      const { cluster, nodes: sweep } = TASK_HANDLERS;
      if (cluster === undefined || sweep === undefined) throw new Error("handlers are missing");
      const signal = new AbortController().signal;
      for (let pass = 0; pass < 200; pass++) {
        const taken = await runTasks(services, { owner, handlers: { cluster, nodes: sweep }, batch: 32, signal });
        if (taken === 0) return;
      }
      throw new Error("the tasks never come to rest");
    },

    /** Lets time pass, from one due task to the next, with the tasks at work, until the condition holds. */
    async until(what: string, holds: () => Promise<boolean>, withinMs = 7_200_000): Promise<void> {
      const endMs = services.clock.nowMs() + withinMs;
      while (services.clock.nowMs() <= endMs) {
        await world.settle();
        if (await holds()) return;
        const [next] = await rows<{ due: string | null }>(
          services.db,
          sql`SELECT min(due_at) AS due FROM tasks WHERE kind IN ('cluster', 'nodes')`,
        );
        const dueMs = Number(next?.due ?? endMs + 1);
        services.clock.pass(Math.max(1, Math.min(dueMs, endMs + 1) - services.clock.nowMs()));
      }
      throw new Error(`it did not happen within ${withinMs} ms: ${what}`);
    },

    get: (cluster: { id: Id<"cluster"> }) => getCluster(system(services), { id: cluster.id }),
    teardown: (cluster: Reserved, parts: Partial<Context> = {}) =>
      teardownCluster(world.holder(cluster, parts), { id: cluster.id }),

    /** Until the cluster has this status. */
    reaches: (cluster: { id: Id<"cluster"> }, status: Cluster["status"], withinMs?: number) =>
      world.until(`the cluster is ${status}`, async () => (await world.get(cluster)).status === status, withinMs),

    async running(nodeIds: readonly Id<"node">[], parts: Partial<ReserveInput> = {}, durationSeconds = 3600) {
      const cluster = await world.reserve(world.quote({ nodeIds, durationSeconds }), parts);
      await world.pay(cluster.payment);
      await world.reaches(cluster, "running", 60_000);
      return cluster;
    },

    leases: (cluster: { id: string }) =>
      services.db.select().from(leases).where(eq(leases.clusterId, cluster.id)).orderBy(leases.rank),
    events: async (cluster: { id: string }) =>
      (await services.db.select().from(events).where(eq(events.clusterId, cluster.id)).orderBy(events.sequence)).map(
        (event) => event.type,
      ),
    async free(nodeId: string): Promise<number> {
      const [row] = await services.db.select({ free: nodes.gpusFree }).from(nodes).where(eq(nodes.id, nodeId));
      return row?.free ?? Number.NaN;
    },
    async tasks(kind: string, id: string): Promise<number> {
      const found = await rows(services.db, sql`SELECT 1 FROM tasks WHERE kind = ${kind} AND id = ${id}`);
      return found.length;
    },
    faults(faults: Partial<SimulatedFaults>): void {
      cloud.faults = { ...cloud.faults, ...faults };
    },
    /** Rules of ledger and capacity that don't hold. */
    async broken() {
      const results = [...(await auditLedger(world.system())), ...(await auditCapacity(world.system()))];
      return results.filter((result) => !result.holds);
    },
  };
  return world;
}

export function micro(amount: string): bigint {
  return BigInt(amount.replace(".", ""));
}
