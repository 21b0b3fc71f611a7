import type { EventType } from "@volley/schema/resources/cluster";
import type { Context } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { appendEvent } from "../../events/append.ts";
import type { PaymentRow } from "../to-payment-resource.ts";

/** Tells the payment's cluster what happened. A top-up has none, and is told by the payment itself. */
export async function appendPaymentEvent(
  ctx: Context,
  tx: Transaction,
  payment: Pick<PaymentRow, "clusterId">,
  type: EventType,
  data: Readonly<Record<string, unknown>>,
): Promise<void> {
  if (payment.clusterId !== null) await appendEvent(ctx, tx, payment.clusterId, type, data);
}
