import { createHash } from "node:crypto";
import type { Id } from "@volley/schema/ids";
import { parseId } from "@volley/schema/ids";
import type { SupplierClass } from "@volley/schema/resources/market";
import { and, eq } from "drizzle-orm";
import { newId, type Services } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { enrolmentTokens, suppliers } from "../db/tables.ts";

const TOKEN_PREFIX = "vly_enrol_";
const TOKEN_BYTES = 32;
const LIFETIME_SECONDS_DEFAULT = 3600;

type Needs = Pick<Services, "clock" | "random" | "db">;

export interface EnrolmentTokenInput {
  /** The supplier that the machine joins for; made if there is none of that name and class. */
  readonly supplierName: string;
  readonly supplierClass: SupplierClass;
  /** Wallet that gets the supplier's earnings from now on; kept as it is when absent. */
  readonly payoutAddress?: string | undefined;
  readonly lifetimeSeconds?: number;
}

export function enrolmentTokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/**
 * A token with which one machine joins, once. Only its hash is kept.
 * For Volley's own use (`api/entry/enrolment-token.ts`): no operation of the API does it.
 */
export async function issueEnrolmentToken(
  services: Needs,
  input: EnrolmentTokenInput,
): Promise<{ readonly token: string; readonly supplierId: Id<"supplier"> }> {
  const token = TOKEN_PREFIX + Buffer.from(services.random.bytes(TOKEN_BYTES)).toString("base64url");
  const nowMs = services.clock.nowMs();
  const expiresAt = nowMs + (input.lifetimeSeconds ?? LIFETIME_SECONDS_DEFAULT) * 1000;
  const supplierId = await services.db.transaction(async (tx) => {
    const id = await findOrCreateSupplier(services, tx, input);
    await tx.insert(enrolmentTokens).values({ tokenHash: enrolmentTokenHash(token), supplierId: id, expiresAt });
    return id;
  });
  return { token, supplierId };
}

async function findOrCreateSupplier(
  services: Needs,
  tx: Transaction,
  { supplierName, supplierClass, payoutAddress }: EnrolmentTokenInput,
): Promise<Id<"supplier">> {
  const [found] = await tx
    .select({ id: suppliers.id })
    .from(suppliers)
    .where(and(eq(suppliers.name, supplierName), eq(suppliers.class, supplierClass)))
    .limit(1);
  if (found !== undefined) {
    if (payoutAddress !== undefined) {
      await tx.update(suppliers).set({ payoutAddress }).where(eq(suppliers.id, found.id));
    }
    return parseId("supplier", found.id);
  }
  const id = newId(services, "supplier");
  await tx
    .insert(suppliers)
    .values({ id, name: supplierName, class: supplierClass, payoutAddress, createdAt: services.clock.nowMs() });
  return id;
}
