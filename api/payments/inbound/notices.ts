import type { PaymentNoticeCode } from "@volley/schema/resources/payment";
import { and, count, eq } from "drizzle-orm";
import type { Context } from "../../context.ts";
import type { Executor } from "../../db/database.ts";
import { paymentNotices } from "../../db/tables.ts";

/** Anybody can name a reference in a transaction: whoever does so a thousand times fills no list of ours. */
const PER_CODE_MAX = 20;

export interface Notice {
  readonly paymentId: string;
  readonly code: PaymentNoticeCode;
  readonly signature: string;
  /** One sentence for the payer. */
  readonly detail: string;
}

/** Keeps a notice, once per payment, code and transaction. False when it was there, or when there are enough. */
export async function addNotice(ctx: Context, executor: Executor, notice: Notice): Promise<boolean> {
  const { paymentId, code } = notice;
  const [kept] = await executor
    .select({ count: count() })
    .from(paymentNotices)
    .where(and(eq(paymentNotices.paymentId, paymentId), eq(paymentNotices.code, code)));
  if ((kept?.count ?? 0) >= PER_CODE_MAX) return false;
  const added = await executor
    .insert(paymentNotices)
    .values({ ...notice, createdAt: ctx.clock.nowMs() })
    .onConflictDoNothing()
    .returning({ code: paymentNotices.code });
  return added.length > 0;
}
