import type { Node } from "@volley/schema/resources/node";
import { inArray } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { nodes } from "../db/tables.ts";
import { toNodeResource } from "./to-node-resource.ts";

/** Many machines in one statement; one that doesn't exist is left out. */
export async function loadNodes(
  ctx: { readonly db: Executor },
  nodeIds: readonly string[],
): Promise<Map<string, Node>> {
  if (nodeIds.length === 0) return new Map();
  const found = await ctx.db
    .select()
    .from(nodes)
    .where(inArray(nodes.id, [...nodeIds]));
  return new Map(found.map((row) => [row.id, toNodeResource(row)]));
}
