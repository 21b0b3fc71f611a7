import { parseId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { Payment } from "@volley/schema/resources/payment";
import { toTimestamp } from "@volley/schema/time";
import type { paymentNotices, payments } from "../db/tables.ts";
import type { Settings } from "../settings.ts";
import type { RefundRow } from "./refunds/begin-refund.ts";
import { toRefundResource } from "./refunds/to-refund-resource.ts";
import { solanaPayUrl } from "./solana-pay/transfer-request.ts";
import { networkOf } from "./x402/network.ts";

export type PaymentRow = typeof payments.$inferSelect;
/** A payment for a cluster; only top-ups have none. */
export type ClusterPaymentRow = PaymentRow & { readonly clusterId: string; readonly holdTransferId: string };

export function isForCluster(payment: PaymentRow): payment is ClusterPaymentRow {
  return payment.clusterId !== null && payment.holdTransferId !== null;
}

export type PaymentNoticeRow = typeof paymentNotices.$inferSelect;

/** What is known of a payment beside its own row; nothing when it is new. */
export interface PaymentHistory {
  readonly notices: readonly Pick<PaymentNoticeRow, "code" | "detail" | "signature">[];
  /** Of the transactions that brought money for it, oldest first. */
  readonly signatures: readonly string[];
  /** Of its cluster, oldest first. */
  readonly refunds: readonly RefundRow[];
}

const NEW: PaymentHistory = { notices: [], signatures: [], refunds: [] };

export function toPaymentResource(
  { publicUrl, solanaNetwork }: Pick<Settings, "publicUrl" | "solanaNetwork">,
  row: PaymentRow,
  { notices, signatures, refunds }: PaymentHistory = NEW,
): Payment {
  const isOpen = row.status === "pending" || row.status === "detected";
  const missing = row.amountMicroUsdc - row.receivedMicroUsdc;
  return {
    id: parseId("payment", row.id),
    object: "payment",
    cluster_id: row.clusterId === null ? null : parseId("cluster", row.clusterId),
    purpose: row.purpose,
    rail: row.rail,
    status: row.status,
    amount: toMoney(row.amountMicroUsdc),
    received: toMoney(row.receivedMicroUsdc),
    missing: toMoney(isOpen && missing > 0n ? missing : 0n),
    expires_at: toTimestamp(row.expiresAt),
    created_at: toTimestamp(row.createdAt),
    settled_at: row.settledAt === null ? null : toTimestamp(row.settledAt),
    solana_pay: row.rail === "solana_pay" ? solanaPayRequest(publicUrl, row) : null,
    x402: row.rail === "x402" ? { network: networkOf({ solanaNetwork }) } : null,
    checkout_url: row.rail === "solana_pay" ? `${publicUrl}/pay/${row.id}` : row.checkoutUrl,
    signatures: [...signatures],
    notices: notices.map(({ code, detail, signature }) => ({
      code,
      detail,
      signature: signature === "" ? null : signature,
    })),
    refunds: refunds.map(toRefundResource),
  };
}

function solanaPayRequest(publicUrl: string, row: PaymentRow): Payment["solana_pay"] {
  const { id, recipient, mint, reference, commitment, amountMicroUsdc } = row;
  if (recipient === null || mint === null || reference === null) throw new Error(`payment ${id} names no recipient`);
  return {
    url: solanaPayUrl({ recipient, mint, reference, amountMicroUsdc, message: id }),
    recipient,
    spl_token: mint,
    reference,
    commitment,
    // Without a query nothing of it has to be encoded (Solana Pay specification, transaction request, "Link").
    transaction_request_url: `solana:${publicUrl}/v1/payments/${id}/transaction`,
  };
}
