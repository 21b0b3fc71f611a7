import { parseId } from "@volley/schema/ids";
import type { Supplier } from "@volley/schema/resources/node";
import { inArray } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { suppliers } from "../db/tables.ts";

/** Many suppliers in one statement; one that doesn't exist is left out. */
export async function loadSuppliers(
  ctx: { readonly db: Executor },
  supplierIds: readonly string[],
): Promise<Map<string, Supplier>> {
  if (supplierIds.length === 0) return new Map();
  const found = await ctx.db
    .select()
    .from(suppliers)
    .where(inArray(suppliers.id, [...supplierIds]));
  return new Map(
    found.map(({ id, name, class: supplierClass }) => [
      id,
      { id: parseId("supplier", id), object: "supplier", name, supplier_class: supplierClass },
    ]),
  );
}
