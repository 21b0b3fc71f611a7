import { parseId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { Payment } from "@volley/schema/resources/payment";
import { toTimestamp } from "@volley/schema/time";
import type { paymentNotices, payments } from "../db/tables.ts";
import { solanaPayUrl } from "./solana-pay/transfer-request.ts";

export type PaymentRow = typeof payments.$inferSelect;
export type PaymentNoticeRow = typeof paymentNotices.$inferSelect;

/** @param signatures of the transactions that brought money for it, oldest first */
export function toPaymentResource(
  row: PaymentRow,
  notices: readonly Pick<PaymentNoticeRow, "code" | "detail" | "signature">[],
  signatures: readonly string[],
): Payment {
  const { recipient, mint, reference, commitment } = row;
  const isOpen = row.status === "pending" || row.status === "detected";
  const missing = row.amountMicroUsdc - row.receivedMicroUsdc;
  return {
    id: parseId("payment", row.id),
    object: "payment",
    cluster_id: parseId("cluster", row.clusterId),
    purpose: row.purpose,
    rail: row.rail,
    status: row.status,
    amount: toMoney(row.amountMicroUsdc),
    received: toMoney(row.receivedMicroUsdc),
    missing: toMoney(isOpen && missing > 0n ? missing : 0n),
    expires_at: toTimestamp(row.expiresAt),
    created_at: toTimestamp(row.createdAt),
    settled_at: row.settledAt === null ? null : toTimestamp(row.settledAt),
    solana_pay: {
      url: solanaPayUrl({ recipient, mint, reference, amountMicroUsdc: row.amountMicroUsdc, message: row.id }),
      recipient,
      spl_token: mint,
      reference,
      commitment,
    },
    signatures: [...signatures],
    notices: notices.map(({ code, detail, signature }) => ({
      code,
      detail,
      signature: signature === "" ? null : signature,
    })),
  };
}
