import { VolleyError } from "@volley/schema/errors";
import type { OperationId } from "@volley/schema/operations/index";
import { and, eq, lte, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { sqlState, type Transaction } from "../db/database.ts";
import { idempotencyKeys } from "../db/tables.ts";
import { accountOfSession } from "../identity/account-of-session.ts";
import { type IdempotencyRecord, idempotencyRecord } from "./key.ts";

const LOCK_NOT_AVAILABLE = "55P03";

interface ScopedRecord extends IdempotencyRecord {
  /** Operation and caller: two callers' equal keys are different keys. */
  readonly scope: string;
}

/**
 * Runs a verb's work at most once per Idempotency-Key: key, effects and answer are written in one transaction.
 * Repeated, it answers what is stored. An error means that nothing happened: it is rolled back with the key, which
 * stays free. A request that comes while its twin is running waits for it, for two seconds at most.
 * Without a key, where none is required, it only runs the work in a transaction.
 *
 * @throws {VolleyError} `idempotency_key_missing`, `idempotency_mismatch`, `idempotency_in_progress`
 */
export async function runIdempotent<Answer extends Record<string, unknown>>(
  ctx: Context,
  request: { readonly operation: OperationId; readonly input: unknown },
  work: (tx: Transaction) => Promise<Answer>,
): Promise<Answer> {
  const unscoped = idempotencyRecord(ctx, request.operation, request.input);
  if (unscoped === null) return ctx.db.transaction(work);
  const record = { ...unscoped, scope: `${request.operation}:${await callerOf(ctx)}` };
  return ctx.db.transaction(async (tx) => {
    if (!(await claimKey(ctx, tx, record))) return (await storedAnswer(tx, record)) as Answer;
    const answer = await work(tx);
    await tx
      .update(idempotencyKeys)
      .set({ response: answer })
      .where(and(eq(idempotencyKeys.scope, record.scope), eq(idempotencyKeys.key, record.key)));
    return answer;
  });
}

/** A session stands for its account: whoever crashed and has signed in anew repeats a request under its key. */
async function callerOf(ctx: Context): Promise<string> {
  switch (ctx.actor.kind) {
    case "bearer": {
      const { tokenHash } = ctx.actor;
      const [account] = await accountOfSession(ctx, tokenHash);
      return account?.id ?? tokenHash;
    }
    case "node":
      return ctx.actor.nodeId;
    default:
      return ctx.actor.kind;
  }
}

/** False when the key has been used. */
async function claimKey(ctx: Context, tx: Transaction, record: ScopedRecord): Promise<boolean> {
  const { scope, key, fingerprint, expiresAtMs } = record;
  const nowMs = ctx.clock.nowMs();
  const row = { fingerprint, response: {}, createdAt: nowMs, expiresAt: expiresAtMs };
  await tx.execute(sql`SET LOCAL lock_timeout = '2s'`);
  try {
    const claimed = await tx
      .insert(idempotencyKeys)
      .values({ scope, key, ...row })
      .onConflictDoUpdate({
        target: [idempotencyKeys.scope, idempotencyKeys.key],
        set: row,
        setWhere: lte(idempotencyKeys.expiresAt, nowMs),
      })
      .returning({ key: idempotencyKeys.key });
    await tx.execute(sql`SET LOCAL lock_timeout TO DEFAULT`);
    return claimed.length > 0;
  } catch (error) {
    if (sqlState(error)?.code !== LOCK_NOT_AVAILABLE) throw error;
    throw new VolleyError("idempotency_in_progress", "A request with this Idempotency-Key is still running.", {
      nextAction: "Repeat the request with the same key.",
      retryAfterSeconds: 1,
      cause: error,
    });
  }
}

async function storedAnswer(tx: Transaction, record: ScopedRecord): Promise<Record<string, unknown>> {
  const [stored] = await tx
    .select()
    .from(idempotencyKeys)
    .where(and(eq(idempotencyKeys.scope, record.scope), eq(idempotencyKeys.key, record.key)));
  if (stored?.fingerprint !== record.fingerprint) {
    throw new VolleyError("idempotency_mismatch", "This Idempotency-Key was used for a request with other contents.", {
      nextAction: "Send a fresh key for a new request; repeat a request with its contents unchanged.",
    });
  }
  return stored.response;
}
