import { and, eq, gt } from "drizzle-orm";
import type { Context } from "../context.ts";
import { sessions } from "../db/tables.ts";

/** The id of the account whose session has this token, as a subquery: no row when there is none, or it has ended. */
export function accountOfSession(ctx: Pick<Context, "db" | "clock">, tokenHash: string) {
  return ctx.db
    .select({ id: sessions.customerId })
    .from(sessions)
    .where(and(eq(sessions.tokenHash, tokenHash), gt(sessions.expiresAt, ctx.clock.nowMs())));
}
