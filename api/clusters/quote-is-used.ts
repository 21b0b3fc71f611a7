import { eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { clusters } from "../db/tables.ts";

/** Whether a cluster was reserved with this quote. */
export async function quoteIsUsed(ctx: Pick<Context, "db">, quoteId: string): Promise<boolean> {
  const found = await ctx.db.select({ id: clusters.id }).from(clusters).where(eq(clusters.quoteId, quoteId)).limit(1);
  return found.length > 0;
}
