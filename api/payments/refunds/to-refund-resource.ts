import { parseId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { Refund } from "@volley/schema/resources/payment";
import { toTimestamp } from "@volley/schema/time";
import type { RefundRow } from "./refund-rest.ts";

export function toRefundResource(row: RefundRow): Refund {
  return {
    id: parseId("refund", row.id),
    object: "refund",
    cluster_id: parseId("cluster", row.clusterId),
    amount: toMoney(row.amountMicroUsdc),
    to: row.toAddress,
    status: row.status,
    signature: row.signature,
    created_at: toTimestamp(row.createdAt),
  };
}
