import { toMoney } from "@volley/schema/money";
import type { Bill } from "@volley/schema/resources/cluster";
import { type Maker, newId } from "../../context.ts";
import { type Transaction, wake } from "../../db/database.ts";
import { refunds } from "../../db/tables.ts";
import { appendEvent } from "../../events/append.ts";
import { customerAccount, openAccount, refundAccount, supplierAccount } from "../../ledger/accounts.ts";
import { post } from "../../ledger/post.ts";

export type RefundRow = typeof refunds.$inferSelect;

/** Whose money leaves. */
export type RefundOwner =
  | { readonly clusterId: string }
  | { readonly customerId: string }
  | { readonly supplierId: string };

export interface RefundInput {
  readonly owner: RefundOwner;
  readonly toAddress: string;
  readonly amountMicroUsdc: bigint;
  /** Nothing is signed earlier. */
  readonly notBeforeMs: number;
}

/**
 * Begins to send money away: from here it is in flight, and a task of the treasury carries it out. The caller holds
 * the owner's row, has checked the address, and knows that the money is there.
 * @throws {LedgerError} `insufficient_funds`
 */
export async function beginRefund(ctx: Maker, tx: Transaction, input: RefundInput): Promise<RefundRow> {
  const { owner, toAddress, amountMicroUsdc, notBeforeMs } = input;
  const nowMs = ctx.clock.nowMs();
  const id = newId(ctx, "refund");
  const kind = "supplierId" in owner ? ("payout" as const) : ("refund" as const);
  const row = { id, kind, ...owner, toAddress, amountMicroUsdc, notBefore: notBeforeMs, createdAt: nowMs };
  const [refund] = await tx
    .insert(refunds)
    .values({ ...row, status: "pending" })
    .returning();
  if (refund === undefined) throw new Error("the refund's row was not written");
  const credit = refundAccount(id);
  await openAccount(ctx, tx, credit, "refund");
  await post(ctx, tx, { debit: sourceAccount(refund), credit, amountMicroUsdc, reason: kind, reference: id });
  if (refund.clusterId !== null) {
    const data = { refund_id: id, amount: toMoney(amountMicroUsdc), to: toAddress };
    await appendEvent(ctx, tx, refund.clusterId, "refund.created", data);
  }
  await wake(tx, "refund", id, Math.max(nowMs, notBeforeMs));
  return refund;
}

/** The ledger's account that a refund's money comes from, and goes back to if nothing was ever signed. */
export function sourceAccount(refund: Pick<RefundRow, "id" | "clusterId" | "customerId" | "supplierId">): string {
  if (refund.supplierId !== null) return supplierAccount(refund.supplierId);
  const owner = refund.clusterId ?? refund.customerId;
  if (owner === null) throw new Error(`refund ${refund.id} belongs to nobody`);
  return customerAccount(owner);
}

export function toBillRefund(refund: RefundRow): Bill["refund"] {
  const { id, amountMicroUsdc, toAddress, status, signature } = refund;
  return { id, amount: toMoney(amountMicroUsdc), to: toAddress, status, signature };
}
