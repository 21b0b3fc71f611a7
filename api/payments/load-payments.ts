import type { Payment } from "@volley/schema/resources/payment";
import { and, asc, inArray, ne } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { inboundTransfers, paymentNotices, refunds } from "../db/tables.ts";
import type { Settings } from "../settings.ts";
import { type PaymentRow, toPaymentResource } from "./to-payment-resource.ts";

/** Dust may come in any number of transactions; these are enough to see what happened. */
const SIGNATURES_MAX = 100;
/** The newest; refunds.list has all of an account. */
const REFUNDS_MAX = 100;

export interface PaymentReader {
  readonly db: Executor;
  readonly settings: Settings;
}

/** The resources of many payments in three statements, in the order of the rows. */
export async function loadPaymentResources(
  { db: executor, settings }: PaymentReader,
  found: readonly PaymentRow[],
): Promise<Payment[]> {
  if (found.length === 0) return [];
  const ids = found.map((row) => row.id);
  const notices = await executor
    .select()
    .from(paymentNotices)
    .where(inArray(paymentNotices.paymentId, ids))
    .orderBy(asc(paymentNotices.createdAt), asc(paymentNotices.code), asc(paymentNotices.signature));
  const inbound = await executor
    .select({ paymentId: inboundTransfers.paymentId, signature: inboundTransfers.signature })
    .from(inboundTransfers)
    .where(and(inArray(inboundTransfers.paymentId, ids), ne(inboundTransfers.finality, "dropped")))
    .orderBy(asc(inboundTransfers.slot), asc(inboundTransfers.createdAt), asc(inboundTransfers.signature));
  const clusterIds = [...new Set(found.flatMap((row) => row.clusterId ?? []))];
  const sentBack =
    clusterIds.length === 0
      ? []
      : await executor
          .select()
          .from(refunds)
          .where(inArray(refunds.clusterId, clusterIds))
          .orderBy(asc(refunds.createdAt), asc(refunds.id));
  const noticesOf = Map.groupBy(notices, (notice) => notice.paymentId);
  const inboundOf = Map.groupBy(inbound, (transfer) => transfer.paymentId);
  const refundsOf = Map.groupBy(sentBack, (refund) => refund.clusterId);
  return found.map((row) => {
    const signatures = new Set((inboundOf.get(row.id) ?? []).map((transfer) => transfer.signature));
    return toPaymentResource(settings, row, {
      notices: noticesOf.get(row.id) ?? [],
      signatures: [...signatures].slice(0, SIGNATURES_MAX),
      refunds: row.clusterId === null ? [] : (refundsOf.get(row.clusterId) ?? []).slice(-REFUNDS_MAX),
    });
  });
}
