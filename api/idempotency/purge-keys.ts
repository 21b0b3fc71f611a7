import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows } from "../db/database.ts";
import { purgeExpired } from "../identity/purge-expired.ts";
import type { TaskOutcome } from "../jobs/engine.ts";

const BATCH = 1_000;
const PAUSE_MS = 3_600_000;

/** The task of kind `keys`: forgets idempotency keys, challenges and sessions that are over, a batch at a time. */
export async function purgeKeys(ctx: Context, _id: string): Promise<TaskOutcome> {
  const nowMs = ctx.clock.nowMs();
  const gone = await rows(
    ctx.db,
    sql`DELETE FROM idempotency_keys WHERE (scope, key) IN (
          SELECT scope, key FROM idempotency_keys WHERE expires_at <= ${nowMs}::bigint LIMIT ${BATCH})
        RETURNING key`,
  );
  const isDone = !(await purgeExpired(ctx, BATCH)) && gone.length < BATCH;
  return { dueAtMs: nowMs + (isDone ? PAUSE_MS : 0) };
}
