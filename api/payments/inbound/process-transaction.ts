import { toMoney } from "@volley/schema/money";
import type { PaymentNoticeCode } from "@volley/schema/resources/payment";
import { and, eq, inArray, isNotNull, notInArray, or } from "drizzle-orm";
import { lockCluster } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import { clusters, payments, sponsoredTransactions } from "../../db/tables.ts";
import { isAddressAllowed } from "../../identity/screen-address.ts";
import type { ChainTransaction } from "../../ports/chain.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { type AttributedTransfer, attributeTransfers } from "./attribute-transfers.ts";
import { addNotice } from "./notices.ts";
import { appendPaymentEvent } from "./payment-event.ts";
import { recordInbound } from "./record-inbound.ts";
import { type LookAlike, type TreasuryAccount, verifyTransaction } from "./verify-transaction.ts";

/**
 * Writes down all that a transaction did for us: each transfer into our account, and for the payments that it names
 * without paying them, why it doesn't count. May be repeated.
 */
export async function processTransaction(
  ctx: Context,
  treasury: TreasuryAccount,
  transaction: ChainTransaction,
  finality: "confirmed" | "finalized",
): Promise<void> {
  const verified = verifyTransaction(transaction, treasury);
  const named = await namedPayments(ctx, verified.accountKeys);
  if (verified.failed) {
    for (const payment of named) {
      await reject(ctx, payment, "failed_transaction", verified.signature, FAILED_DETAIL);
    }
    return;
  }
  const { signature, slot, blockTimeSeconds } = verified;
  const { transfers: attributed, passedOver } = attributeTransfers(
    verified,
    new Set(named.flatMap((payment) => payment.reference ?? [])),
    await sponsoredReference(ctx, transaction.signatures),
  );
  const transfers: AttributedTransfer[] = [];
  for (const transfer of attributed) transfers.push(await screened(ctx, transfer, signature, named));
  await recordInbound(ctx, { signature, slot, blockTimeSeconds, transfers, finality });
  for (const payment of named) {
    if (payment.reference !== null && passedOver.includes(payment.reference)) {
      await reject(ctx, payment, "foreign_reference", signature, FOREIGN_DETAIL);
    }
    const [lookAlike] = verified.lookAlikes;
    if (lookAlike !== undefined && transfers.every((transfer) => transfer.reference !== payment.reference)) {
      await reject(ctx, payment, "wrong_mint", signature, describe(lookAlike, payment));
    }
  }
}

/**
 * Money from an address that we may not deal with is recorded like any other and counts for nothing: it stays
 * unallocated, where only a decision of ours can move it.
 */
async function screened(
  ctx: Context,
  transfer: AttributedTransfer,
  signature: string,
  named: readonly PaymentRow[],
): Promise<AttributedTransfer> {
  const { sourceOwner: address, index, reference } = transfer;
  if (address === null) return transfer;
  const asked = { address, subject: "inbound", reference: `${signature}:${index}` } as const;
  if (await isAddressAllowed(ctx, ctx.db, asked)) return transfer;
  const payment = named.find((one) => one.reference === reference);
  if (payment !== undefined) await reject(ctx, payment, "sender_refused", signature, SENDER_DETAIL);
  return { ...transfer, reference: null };
}

const SENDER_DETAIL = "The money came from an address that we can't deal with, so it is not counted.";
export const FAILED_DETAIL = "The transaction failed on chain, so no money moved. Pay again.";
const FOREIGN_DETAIL =
  "The transfer names the reference of another payment first and counts there. Send one transfer for each payment.";

async function namedPayments(ctx: Context, keys: readonly string[]): Promise<PaymentRow[]> {
  if (keys.length === 0) return [];
  const found = await ctx.db
    .select()
    .from(payments)
    .where(inArray(payments.reference, [...keys]));
  return found.sort((one, two) => (one.id < two.id ? -1 : 1));
}

/**
 * The reference of the payment that an x402 client has signed this transaction for. Such a client knows nothing of
 * references; its own signature was stored when the payment was claimed. Once a client was told that nothing was
 * taken, it never gets the cluster's secret: what comes all the same is unallocated, for its wallet to claim, unless
 * the cluster itself says where money goes.
 */
async function sponsoredReference(ctx: Context, signatures: readonly string[]): Promise<string | null> {
  const [found] = await ctx.db
    .select({ reference: payments.reference })
    .from(sponsoredTransactions)
    .innerJoin(payments, eq(payments.id, sponsoredTransactions.paymentId))
    .innerJoin(clusters, eq(clusters.id, payments.clusterId))
    .where(
      and(
        inArray(sponsoredTransactions.payerSignature, [...signatures]),
        eq(sponsoredTransactions.purpose, "x402"),
        or(
          notInArray(sponsoredTransactions.status, ["refused", "failed"]),
          isNotNull(clusters.refundAddress),
          isNotNull(clusters.customerId),
        ),
      ),
    );
  return found?.reference ?? null;
}

/** Tells of a transaction that names the payment and brings it nothing, once. */
export async function reject(
  ctx: Context,
  payment: Pick<PaymentRow, "id" | "clusterId" | "amountMicroUsdc">,
  code: PaymentNoticeCode,
  signature: string,
  detail: string,
): Promise<void> {
  const told = await ctx.db.transaction(async (tx) => {
    if (payment.clusterId !== null) await lockCluster(tx, payment.clusterId);
    if (!(await addNotice(ctx, tx, { paymentId: payment.id, code, signature, detail }))) return false;
    await appendPaymentEvent(ctx, tx, payment, "payment.rejected", {
      payment_id: payment.id,
      code,
      detail,
      signature,
      amount: toMoney(payment.amountMicroUsdc),
    });
    return true;
  });
  if (told) ctx.hints.notify(`cluster:${payment.clusterId}`);
}

function describe(lookAlike: LookAlike, payment: PaymentRow): string {
  const fix = `Pay with USDC of the mint ${payment.mint}.`;
  switch (lookAlike.kind) {
    case "sol":
      return `SOL came instead of USDC; it isn't counted. ${fix}`;
    case "other_account":
      return "USDC went to another token account than the wallet's associated one; it isn't counted. Write to support.";
    case "token_2022":
      return `A token of the Token-2022 program came (mint ${lookAlike.mint}); it isn't USDC and isn't counted. ${fix}`;
    case "other_mint":
      return `Another token came (mint ${lookAlike.mint}); it isn't counted. ${fix}`;
  }
}
