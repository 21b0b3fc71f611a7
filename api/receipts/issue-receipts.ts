/**
 * The task of kind `receipts`, one for each chain: signs a receipt for each of the chain's clusters that has ended.
 * One worker at a time has the task; should two be at it, the chain's unique numbers let one of them go on.
 */
import { toTimestamp } from "@volley/schema/time";
import { and, asc, desc, eq, isNotNull, isNull, or } from "drizzle-orm";
import { lockCluster } from "../clusters/open-cluster.ts";
import { type Context, newId } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { clusters, receipts } from "../db/tables.ts";
import type { TaskOutcome } from "../jobs/engine.ts";
import { lockDaysToWrite, openDay } from "./anchored-days.ts";
import { buildReceipt, type EndedCluster } from "./build-receipt.ts";
import { type ReceiptKeys, receiptKeys } from "./receipt-keys.ts";
import { receiptHash, signReceipt } from "./sign-receipt.ts";

/** So many receipts in one step, so that its progress is kept. */
const PER_STEP = 50;
/** How often a number of the chain may turn out to be taken by another worker. */
const TRIES_MAX = 100;

export async function issueReceipts(ctx: Context, chain: string): Promise<TaskOutcome> {
  const keys = await receiptKeys(ctx.settings);
  if (keys === null) return "done";
  const waiting = await waitingClusters(ctx, chain);
  const failures: unknown[] = [];
  for (const { id } of waiting) {
    ctx.signal.throwIfAborted();
    try {
      await issueReceipt(ctx, keys, chain, id);
    } catch (error) {
      // One whose books don't add up must not hold up the others; the task fails for it all the same.
      ctx.logger.error("a receipt could not be issued", { cluster_id: id, error });
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, `${failures.length} receipts could not be issued`);
  return waiting.length < PER_STEP ? "done" : { dueAtMs: ctx.clock.nowMs() };
}

/** In the order in which their time ended. */
function waitingClusters(ctx: Context, chain: string): Promise<{ id: string }[]> {
  const isOfChain = or(eq(clusters.customerId, chain), and(eq(clusters.id, chain), isNull(clusters.customerId)));
  return ctx.db
    .select({ id: clusters.id })
    .from(clusters)
    .leftJoin(receipts, eq(receipts.clusterId, clusters.id))
    .where(and(isOfChain, isNotNull(clusters.bill), isNull(receipts.id)))
    .orderBy(asc(clusters.meteredUntil), asc(clusters.id))
    .limit(PER_STEP);
}

async function issueReceipt(ctx: Context, keys: ReceiptKeys, chain: string, clusterId: string): Promise<void> {
  for (let tried = 1; tried <= TRIES_MAX; tried++) {
    if (await ctx.db.transaction((tx) => appendReceipt(ctx, tx, keys, chain, clusterId))) return;
  }
  throw new Error(`the chain ${chain} was always longer than it had just been`);
}

/** False when another receipt has got the number meanwhile. */
async function appendReceipt(
  ctx: Context,
  tx: Transaction,
  keys: ReceiptKeys,
  chain: string,
  clusterId: string,
): Promise<boolean> {
  const cluster = await lockCluster(tx, clusterId);
  if (cluster === null || !isEnded(cluster)) throw new Error(`cluster ${clusterId} has not ended`);
  const [issued] = await tx.select({ id: receipts.id }).from(receipts).where(eq(receipts.clusterId, clusterId));
  if (issued !== undefined) return true;
  await lockDaysToWrite(tx);
  const [last] = await tx
    .select({ sequence: receipts.sequence, hash: receipts.hash })
    .from(receipts)
    .where(eq(receipts.chain, chain))
    .orderBy(desc(receipts.sequence))
    .limit(1);
  const nowMs = ctx.clock.nowMs();
  const content = await buildReceipt(ctx, tx, cluster, {
    id: newId(ctx, "receipt"),
    issuer: ctx.settings.publicUrl,
    chain,
    sequence: (last?.sequence ?? 0) + 1,
    previous_hash: last?.hash ?? null,
    issued_at: toTimestamp(nowMs),
  });
  const jws = await signReceipt(content, keys);
  const written = await tx
    .insert(receipts)
    .values({
      id: content.id,
      chain,
      sequence: content.sequence,
      clusterId: cluster.id,
      hash: receiptHash(jws),
      jws,
      day: await openDay(tx, nowMs),
      createdAt: nowMs,
    })
    .onConflictDoNothing({ target: [receipts.chain, receipts.sequence] })
    .returning({ id: receipts.id });
  return written.length > 0;
}

function isEnded(cluster: Awaited<ReturnType<typeof lockCluster>>): cluster is EndedCluster {
  return cluster !== null && cluster.bill !== null && cluster.meteredUntil !== null;
}
