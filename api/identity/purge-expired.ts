import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows } from "../db/database.ts";

/**
 * Forgets challenges and sessions that are over. Anybody may ask for challenges, so kept ones would fill the disk; a
 * used one is refused by its age too.
 * @returns whether there may be more
 */
export async function purgeExpired(ctx: Context, batch: number): Promise<boolean> {
  const nowMs = ctx.clock.nowMs();
  const challenges = await rows(
    ctx.db,
    sql`DELETE FROM auth_challenges WHERE nonce IN (
          SELECT nonce FROM auth_challenges WHERE expires_at <= ${nowMs}::bigint LIMIT ${batch})
        RETURNING nonce`,
  );
  const sessions = await rows(
    ctx.db,
    sql`DELETE FROM sessions WHERE token_hash IN (
          SELECT token_hash FROM sessions WHERE expires_at <= ${nowMs}::bigint LIMIT ${batch})
        RETURNING token_hash`,
  );
  return challenges.length === batch || sessions.length === batch;
}
