import type { PaymentNoticeCode } from "@volley/schema/resources/payment";
import type { Context } from "../context.ts";
import type { Executor } from "../db/database.ts";
import { paymentNotices } from "../db/tables.ts";

export interface Notice {
  readonly paymentId: string;
  readonly code: PaymentNoticeCode;
  readonly signature: string;
  /** One sentence for the payer. */
  readonly detail: string;
}

/** Keeps a notice, once per payment, code and transaction. False when it was there. */
export async function addNotice(ctx: Context, executor: Executor, notice: Notice): Promise<boolean> {
  const added = await executor
    .insert(paymentNotices)
    .values({ ...notice, createdAt: ctx.clock.nowMs() })
    .onConflictDoNothing()
    .returning({ code: paymentNotices.code });
  return added.length > 0;
}
