import { eq } from "drizzle-orm";
import type { Executor } from "../../db/database.ts";
import { refundAttempts } from "../../db/tables.ts";
import type { RefundRow } from "./begin-refund.ts";

/** Whether nothing was ever signed for it, so that its money can go back. The caller holds the refund's row. */
export async function isUnsigned(tx: Executor, refund: RefundRow): Promise<boolean> {
  if (refund.status !== "pending" && refund.status !== "held") return false;
  const attempts = await tx.select().from(refundAttempts).where(eq(refundAttempts.refundId, refund.id)).limit(1);
  return attempts.length === 0;
}
