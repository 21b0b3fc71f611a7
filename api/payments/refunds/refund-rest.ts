import { parseUsdc, toMoney } from "@volley/schema/money";
import type { Bill, KeptBill } from "@volley/schema/resources/cluster";
import { type Context, newId } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { customerAccount, openAccount } from "../../ledger/accounts.ts";
import { post } from "../../ledger/post.ts";
import { availableCredit } from "../available-credit.ts";
import { beginRefund, toBillRefund } from "./begin-refund.ts";

/** What of a cluster says where its rest goes. */
export interface RestOwner {
  readonly id: string;
  readonly customerId: string | null;
  readonly refundAddress: string | null;
  readonly bill: KeptBill | null;
}

/**
 * Sends the cluster's whole credit where its renter wants it: to the address that was set, else into the account's
 * balance, else it stays credit of the cluster. The caller holds the cluster's row.
 * @returns the refund's part of the cluster's bill
 */
export async function refundRest(ctx: Context, tx: Transaction, cluster: RestOwner): Promise<Bill["refund"]> {
  const amountMicroUsdc = await availableCredit(tx, cluster.id);
  if (cluster.refundAddress !== null && amountMicroUsdc > 0n) {
    const owner = { clusterId: cluster.id };
    // Whoever reserved chose it before there was anything to steal, so it need not wait.
    const order = { owner, toAddress: cluster.refundAddress, amountMicroUsdc, notBeforeMs: ctx.clock.nowMs() };
    return toBillRefund(await beginRefund(ctx, tx, order));
  }
  if (cluster.customerId !== null && cluster.refundAddress === null) {
    return await moveToBalance(ctx, tx, cluster, cluster.customerId, amountMicroUsdc);
  }
  return { id: null, amount: toMoney(amountMicroUsdc), to: "credit", status: "credited", signature: null };
}

async function moveToBalance(
  ctx: Context,
  tx: Transaction,
  cluster: RestOwner,
  customerId: string,
  amountMicroUsdc: bigint,
): Promise<Bill["refund"]> {
  if (amountMicroUsdc > 0n) {
    const credit = customerAccount(customerId);
    await openAccount(ctx, tx, credit, "customer");
    // What was moved once is not there to be moved again: the cause needs no name of its own.
    const cause = { reason: "rest", reference: `${cluster.id}:${newId(ctx, "transfer")}` };
    await post(ctx, tx, { debit: customerAccount(cluster.id), credit, amountMicroUsdc, ...cause });
  }
  const before = cluster.bill?.refund.to === "balance" ? parseUsdc(cluster.bill.refund.amount.amount) : 0n;
  return { id: null, amount: toMoney(before + amountMicroUsdc), to: "balance", status: "credited", signature: null };
}
