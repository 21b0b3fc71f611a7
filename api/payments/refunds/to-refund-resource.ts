import { parseId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { Refund } from "@volley/schema/resources/payment";
import { toTimestamp } from "@volley/schema/time";
import type { RefundRow } from "./begin-refund.ts";

export function toRefundResource(row: RefundRow): Refund {
  return {
    id: parseId("refund", row.id),
    object: "refund",
    cluster_id: row.clusterId === null ? null : parseId("cluster", row.clusterId),
    amount: toMoney(row.amountMicroUsdc),
    to: row.toAddress,
    status: row.status,
    reason: row.reason,
    not_before: toTimestamp(row.notBefore),
    signature: row.signature,
    created_at: toTimestamp(row.createdAt),
  };
}
