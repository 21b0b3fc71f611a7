import { createHash } from "node:crypto";
import { type InputOf, isId, type Operations, VolleyError } from "@volley/schema";
import { and, eq, sql } from "drizzle-orm";
import { type Context, newId } from "../context.ts";
import { rows, type Transaction } from "../db/database.ts";
import { executionRanks, executions, leases } from "../db/tables.ts";
import { canonicalJson } from "../idempotency/key.ts";
import { type ClusterRow, clusterNotFound } from "./open-cluster.ts";
import { invalidCursor } from "./stream-positions.ts";

type Exec = InputOf<Operations["clusters.exec"]>;
export type ExecutionRow = typeof executions.$inferSelect;

/** Ranks of commands that are open in one cluster at the same time. */
const OPEN_RANKS_MAX = 4096;
/** What those commands carry: all of it goes into every answer to a machine that asks what to do. */
const OPEN_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The execution that the request stands for: a new one, or the one that its Idempotency-Key or the event id to resume
 * after began before.
 * @throws {VolleyError} `cluster_not_running`, `idempotency_mismatch`, `invalid_cursor`, `invalid_field`, `rate_limited`
 */
export async function startExecution(ctx: Context, cluster: ClusterRow, input: Exec): Promise<ExecutionRow> {
  const { command, rank, stdin, env, timeout_seconds } = input;
  const wish = canonicalJson([command, rank ?? null, stdin ?? null, env, timeout_seconds]);
  const fingerprint = createHash("sha256").update(wish).digest("hex");
  const { execution, nodeIds } = await ctx.db.transaction(async (tx) => {
    const known = await findExecution(ctx, tx, cluster, input);
    if (known !== null) {
      if (known.fingerprint !== fingerprint) throw mismatch();
      return { execution: known, nodeIds: [] };
    }
    await requireRunning(tx, cluster);
    return begin(ctx, tx, cluster, input, fingerprint);
  });
  for (const nodeId of new Set(nodeIds)) ctx.hints.notify(`node:${nodeId}`);
  return execution;
}

async function findExecution(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow,
  input: Exec,
): Promise<ExecutionRow | null> {
  const ofCluster = eq(executions.clusterId, cluster.id);
  if (input.last_event_id !== undefined) {
    const [id = ""] = input.last_event_id.split(".");
    if (!isId("execution", id)) throw invalidCursor();
    const [known] = await tx
      .select()
      .from(executions)
      .where(and(ofCluster, eq(executions.id, id)));
    if (known === undefined) throw invalidCursor();
    return known;
  }
  if (ctx.idempotencyKey === null) return null;
  const [known] = await tx
    .select()
    .from(executions)
    .where(and(ofCluster, eq(executions.idempotencyKey, ctx.idempotencyKey)));
  return known ?? null;
}

/** Holds the cluster's row against its end until the execution is written, which the end then closes. */
async function requireRunning(tx: Transaction, cluster: ClusterRow): Promise<void> {
  const [now] = await tx.execute<{ status: string }>(
    sql`SELECT status FROM clusters WHERE id = ${cluster.id} FOR SHARE`,
  );
  if (now === undefined) throw clusterNotFound();
  if (now.status === "running") return;
  throw new VolleyError("cluster_not_running", `The cluster is ${now.status}.`, {
    nextAction:
      now.status === "provisioning" || now.status === "awaiting_payment"
        ? "Wait until its status is running."
        : "It can't run commands any more; reserve a new one.",
  });
}

async function begin(
  ctx: Context,
  tx: Transaction,
  cluster: ClusterRow,
  input: Exec,
  fingerprint: string,
): Promise<{ execution: ExecutionRow; nodeIds: string[] }> {
  const all = await tx
    .select({ id: leases.id, rank: leases.rank, nodeId: leases.nodeId })
    .from(leases)
    .where(eq(leases.clusterId, cluster.id))
    .orderBy(leases.rank);
  const wanted = input.rank === undefined ? all : all.filter((lease) => lease.rank === input.rank);
  if (wanted.length === 0) throw noSuchRank(all.length);
  await requireRoom(tx, cluster, input, wanted.length);
  const nowMs = ctx.clock.nowMs();
  const id = newId(ctx, "execution");
  const [execution] = await tx
    .insert(executions)
    .values({
      id,
      clusterId: cluster.id,
      idempotencyKey: ctx.idempotencyKey ?? id,
      fingerprint,
      command: typeof input.command === "string" ? ["sh", "-c", input.command] : input.command,
      stdin: input.stdin ?? null,
      env: input.env,
      createdAt: nowMs,
      expiresAt: nowMs + input.timeout_seconds * 1000,
    })
    .onConflictDoNothing({ target: [executions.clusterId, executions.idempotencyKey] })
    .returning();
  if (execution === undefined) {
    // The same key was used a moment ago by a request that ran side by side with this one.
    const twin = await findExecution(ctx, tx, cluster, input);
    if (twin?.fingerprint !== fingerprint) throw mismatch();
    return { execution: twin, nodeIds: [] };
  }
  await tx
    .insert(executionRanks)
    .values(wanted.map((lease) => ({ executionId: id, leaseId: lease.id, rank: lease.rank })));
  return { execution, nodeIds: wanted.map((lease) => lease.nodeId) };
}

async function requireRoom(tx: Transaction, cluster: ClusterRow, input: Exec, ranks: number): Promise<void> {
  const [open] = await rows<{ ranks: number; bytes: number }>(
    tx,
    sql`WITH open AS (
          SELECT execution_id FROM execution_ranks JOIN leases ON leases.id = execution_ranks.lease_id
          WHERE leases.cluster_id = ${cluster.id} AND finished_at IS NULL
        )
        SELECT (SELECT count(*) FROM open)::integer AS ranks, coalesce((
          SELECT sum(octet_length(command::text) + octet_length(env::text) + coalesce(octet_length(stdin), 0))
          FROM executions WHERE id IN (SELECT execution_id FROM open)), 0)::integer AS bytes`,
  );
  const bytes = Buffer.byteLength(JSON.stringify([input.command, input.stdin, input.env]));
  if ((open?.ranks ?? 0) + ranks <= OPEN_RANKS_MAX && (open?.bytes ?? 0) + bytes <= OPEN_BYTES_MAX) return;
  throw new VolleyError("rate_limited", "Too many commands are running in this cluster.", {
    nextAction: "Wait until some of them have ended.",
    retryAfterSeconds: 5,
  });
}

function noSuchRank(worldSize: number): VolleyError {
  const message = `must be below ${worldSize}: the cluster has that many ranks, counted from 0`;
  return new VolleyError("invalid_field", `The rank ${message}.`, {
    errors: [{ pointer: "/rank", code: "invalid_field", message }],
  });
}

function mismatch(): VolleyError {
  return new VolleyError("idempotency_mismatch", "This Idempotency-Key was used for another command.", {
    nextAction: "Send a fresh key for a new command; repeat one with its contents unchanged.",
  });
}
