import { type InputOf, type Operations, type OutputOf, parseUsdc, resolveGpu, VolleyError } from "@volley/schema";
import { and, eq, gt, isNull } from "drizzle-orm";
import { type Context, newId } from "../context.ts";
import { sqlState, type Transaction } from "../db/database.ts";
import { requireStorableText } from "../db/storable-text.ts";
import { enrolmentTokens, nodeSessions, nodes } from "../db/tables.ts";
import { enrolmentTokenHash } from "./issue-enrolment-token.ts";
import { type NodeRow, toNodeResource } from "./to-node-resource.ts";

type Enrol = Operations["nodes.enrol"];

/** What is taken of a machine that nobody has rented yet. */
const RELIABILITY_PPM_NEW = 950_000;
/** The lowest price at which the shortest rental of one GPU still costs something: 60 s at 60 micro-USDC an hour. */
const PRICE_MICRO_USDC_MIN = 60n;
/** Far above any machine's; the dearest cluster for the longest time still fits into 64 bits. */
const PRICE_MICRO_USDC_MAX = 10_000_000_000n;

/**
 * Joins a machine to the network, offline until its first heartbeat. A token is good for one machine; repeated by
 * that machine, because the answer was lost, it answers the same node.
 * @throws {VolleyError} `enrolment_token_invalid`, `unknown_gpu`, `invalid_field`
 */
export async function enrolNode(ctx: Context, input: InputOf<Enrol>): Promise<OutputOf<Enrol>> {
  requireStorableText(input);
  const gpu = resolveGpu(input.inventory.gpu);
  if (gpu === null) {
    throw new VolleyError("unknown_gpu", `"${input.inventory.gpu}" is no GPU model that the network knows.`, {
      nextAction: 'Send a slug from GET /v1/gpus, or "cpu" for a machine without a GPU.',
    });
  }
  const priceMicroUsdc = parseUsdc(input.price_per_gpu_hour);
  if (priceMicroUsdc < PRICE_MICRO_USDC_MIN) {
    throw fieldError("/price_per_gpu_hour", "must be at least 0.00006 USDC");
  }
  if (priceMicroUsdc > PRICE_MICRO_USDC_MAX) throw fieldError("/price_per_gpu_hour", "must be at most 10000 USDC");
  try {
    return toNodeResource(await ctx.db.transaction((tx) => enrol(ctx, tx, input, gpu, priceMicroUsdc)));
  } catch (error) {
    if (sqlState(error)?.constraint === "nodes_public_key_unique") {
      throw fieldError("/public_key", "belongs to a machine that has joined before");
    }
    throw error;
  }
}

async function enrol(
  ctx: Context,
  tx: Transaction,
  input: InputOf<Enrol>,
  gpu: string,
  priceMicroUsdc: bigint,
): Promise<NodeRow> {
  const nowMs = ctx.clock.nowMs();
  const id = newId(ctx, "node");
  const tokenHash = enrolmentTokenHash(input.enrolment_token);
  const [token] = await tx
    .update(enrolmentTokens)
    .set({ nodeId: id })
    .where(
      and(
        eq(enrolmentTokens.tokenHash, tokenHash),
        isNull(enrolmentTokens.nodeId),
        gt(enrolmentTokens.expiresAt, nowMs),
      ),
    )
    .returning();
  if (token === undefined) return enrolledBefore(tx, tokenHash, input.public_key);
  const { inventory } = input;
  const [node] = await tx
    .insert(nodes)
    .values({
      id,
      supplierId: token.supplierId,
      adapter: "agent",
      publicKey: input.public_key,
      gpu,
      gpusTotal: inventory.gpus,
      gpusFree: inventory.gpus,
      priceMicroUsdcPerGpuHour: priceMicroUsdc,
      country: input.country,
      region: input.region,
      latitude: input.latitude,
      longitude: input.longitude,
      interconnect: input.interconnect,
      fabric: null,
      reliabilityPpm: RELIABILITY_PPM_NEW,
      isolation: input.isolation,
      cpuCores: inventory.cpu_cores,
      memoryGib: inventory.memory_gib,
      diskGib: inventory.disk_gib,
      status: "offline",
      advertiseAddress: input.advertise_address ?? null,
      createdAt: nowMs,
    })
    .returning();
  if (node === undefined) throw new Error("the node's row was not written");
  await tx.insert(nodeSessions).values({ nodeId: id, lastSeenAt: nowMs });
  return node;
}

async function enrolledBefore(tx: Transaction, tokenHash: string, publicKey: string): Promise<NodeRow> {
  const [found] = await tx
    .select({ node: nodes })
    .from(enrolmentTokens)
    .innerJoin(nodes, eq(nodes.id, enrolmentTokens.nodeId))
    .where(and(eq(enrolmentTokens.tokenHash, tokenHash), eq(nodes.publicKey, publicKey)));
  if (found !== undefined) return found.node;
  throw new VolleyError("enrolment_token_invalid", "The enrolment token is unknown, used or expired.", {
    nextAction: "Ask for a new token; each is good for one machine.",
  });
}

function fieldError(pointer: string, message: string): VolleyError {
  return new VolleyError("invalid_field", `The field ${pointer.slice(1)} ${message}.`, {
    errors: [{ pointer, code: "invalid_field", message }],
  });
}
