/** How far a walk over the chain's history, or over what we know of it, has come: kept, so that the next step goes on. */
import { eq } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { chainCursors } from "../../db/tables.ts";

export type Cursor = typeof chainCursors.$inferSelect;

export async function readCursor(ctx: Context, name: string): Promise<Cursor | undefined> {
  const [cursor] = await ctx.db.select().from(chainCursors).where(eq(chainCursors.name, name));
  return cursor;
}

export async function moveCursor(
  ctx: Context,
  name: string,
  { signature, slot }: Pick<Cursor, "signature" | "slot">,
): Promise<void> {
  await ctx.db
    .insert(chainCursors)
    .values({ name, signature, slot })
    .onConflictDoUpdate({ target: chainCursors.name, set: { signature, slot } });
}

/** The walk begins anew. */
export async function dropCursor(ctx: Context, name: string): Promise<void> {
  await ctx.db.delete(chainCursors).where(eq(chainCursors.name, name));
}
