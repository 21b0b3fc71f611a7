import { and, eq, inArray } from "drizzle-orm";
import { type ClusterRow, lockCluster } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { clusters, inboundTransfers, payments } from "../../db/tables.ts";
import { CHAIN_ACCOUNT, customerAccount, openAccount, UNALLOCATED_ACCOUNT } from "../../ledger/accounts.ts";
import { post } from "../../ledger/post.ts";
import { refundAgain } from "../refunds/refund-again.ts";
import { type ClusterPaymentRow, isForCluster, type PaymentRow } from "../to-payment-resource.ts";
import type { AttributedTransfer } from "./attribute-transfers.ts";
import { inboundReference } from "./inbound-reference.ts";
import { setOffLoss } from "./set-off-loss.ts";
import { noteLate, noteSurplus, settlePayment } from "./settle-payment.ts";
import { settleTopup } from "./settle-topup.ts";

export interface InboundInput {
  readonly signature: string;
  readonly slot: bigint;
  readonly blockTimeSeconds: number | null;
  /** All of the transaction's transfers into our account. */
  readonly transfers: readonly AttributedTransfer[];
  /** The level at which the transaction was seen. */
  readonly finality: "confirmed" | "finalized";
}

/** One of the transfers. */
type Arrival = Omit<InboundInput, "transfers"> & { readonly transfer: AttributedTransfer };

/** What a reference names: a cluster's payment, or a top-up of an account. */
type Payee =
  | { readonly cluster: ClusterRow; readonly payment: ClusterPaymentRow }
  | { readonly cluster: null; readonly payment: PaymentRow };

/**
 * Writes down the transfers of USDC into our token account that one transaction made, once, and all of them in one
 * transaction of ours: each one's row, its ledger transfer to the cluster that it names or to the unallocated money,
 * and all that follows for the payment. Seen again, they change nothing but their finality.
 * @returns how many were new or became final
 */
export async function recordInbound(ctx: Context, input: InboundInput): Promise<number> {
  const { transfers, ...landing } = input;
  if (transfers.length === 0) return 0;
  const outcome = await ctx.db.transaction(async (tx) => {
    const clusterIds = await lockPayees(tx, transfers);
    let changed = 0;
    for (const transfer of transfers) {
      if (await recordOne(ctx, tx, { ...landing, transfer })) changed++;
    }
    return { changed, clusterIds };
  });
  if (outcome.changed > 0) {
    ctx.hints.notify("tasks");
    for (const id of outcome.clusterIds) ctx.hints.notify(`cluster:${id}`);
  }
  return outcome.changed;
}

async function recordOne(ctx: Context, tx: Transaction, arrival: Arrival): Promise<boolean> {
  const payee = await readPayee(tx, arrival.transfer.reference);
  const late = payee !== null && isLate(ctx, payee.payment, arrival);
  const change = await writeRow(ctx, tx, arrival, payee, late);
  if (change === "none") return false;
  if (change === "new") await credit(ctx, tx, arrival, payee);
  if (payee === null) return true;
  if (change === "raised") await follow(ctx, tx, payee, arrival, 0n);
  else await follow(ctx, tx, await received(tx, payee, arrival), arrival, arrival.transfer.amountMicroUsdc);
  return true;
}

/** Locks the clusters that the transfers name, then their payments, each in order of their ids. */
async function lockPayees(tx: Transaction, transfers: readonly AttributedTransfer[]): Promise<string[]> {
  const references = transfers.flatMap(({ reference }) => (reference === null ? [] : [reference]));
  if (references.length === 0) return [];
  const found = await tx
    .select({ id: payments.id, clusterId: payments.clusterId })
    .from(payments)
    .where(inArray(payments.reference, references));
  const clusterIds = [...new Set(found.flatMap((payment) => payment.clusterId ?? []))].sort();
  for (const id of clusterIds) await lockCluster(tx, id);
  for (const id of found.map((payment) => payment.id).sort()) {
    await tx.select({ id: payments.id }).from(payments).where(eq(payments.id, id)).for("no key update");
  }
  return clusterIds;
}

/** The payment that a reference names and its cluster, both locked, as they are now. */
async function readPayee(tx: Transaction, reference: string | null): Promise<Payee | null> {
  if (reference === null) return null;
  const [payment] = await tx.select().from(payments).where(eq(payments.reference, reference));
  if (payment === undefined) return null;
  if (!isForCluster(payment)) return { cluster: null, payment };
  const [cluster] = await tx.select().from(clusters).where(eq(clusters.id, payment.clusterId));
  if (cluster === undefined) throw new Error(`payment ${payment.id} has no cluster`);
  return { cluster, payment };
}

/** By the block's time; where the chain doesn't tell it, by ours. */
function isLate(ctx: Context, payment: PaymentRow, arrival: Arrival): boolean {
  if (payment.status === "expired") return true;
  if (payment.status === "settled") return false;
  const atMs = arrival.blockTimeSeconds === null ? ctx.clock.nowMs() : arrival.blockTimeSeconds * 1000;
  return atMs > payment.expiresAt;
}

/** `new`: its money is to be credited; `raised`: it has become final. */
async function writeRow(
  ctx: Context,
  tx: Transaction,
  arrival: Arrival,
  payee: Payee | null,
  late: boolean,
): Promise<"new" | "raised" | "none"> {
  const { signature, slot, finality, transfer } = arrival;
  const inserted = await tx
    .insert(inboundTransfers)
    .values({
      signature,
      transferIndex: transfer.index,
      slot,
      sourceOwner: transfer.sourceOwner,
      amountMicroUsdc: transfer.amountMicroUsdc,
      paymentId: payee?.payment.id ?? null,
      finality,
      late,
      createdAt: ctx.clock.nowMs(),
    })
    .onConflictDoNothing()
    .returning({ signature: inboundTransfers.signature });
  if (inserted.length > 0) return "new";

  const isThis = and(eq(inboundTransfers.signature, signature), eq(inboundTransfers.transferIndex, transfer.index));
  const [known] = await tx.select().from(inboundTransfers).where(isThis).for("update");
  if (known === undefined) return "none";
  if (known.finality === "dropped") {
    // What was dropped may have been a tale of one node, so nothing of it is kept.
    const { amountMicroUsdc, sourceOwner } = transfer;
    const landing = { amountMicroUsdc, sourceOwner, paymentId: payee?.payment.id ?? null };
    await tx
      .update(inboundTransfers)
      .set({ ...landing, finality, slot, late, missingSinceSlot: null })
      .where(isThis);
    return "new";
  }
  if (known.amountMicroUsdc !== transfer.amountMicroUsdc) {
    ctx.metrics.count("volley_chain_contradictions_total");
    ctx.logger.error("a node tells another amount of a transfer than before", { signature, index: transfer.index });
    return "none";
  }
  if (known.finality === "confirmed" && finality === "finalized") {
    await tx.update(inboundTransfers).set({ finality, slot, missingSinceSlot: null }).where(isThis);
    return "raised";
  }
  return "none";
}

async function credit(ctx: Context, tx: Transaction, arrival: Arrival, payee: Payee | null): Promise<void> {
  const account = payee === null ? UNALLOCATED_ACCOUNT : customerAccount(payee.cluster?.id ?? payee.payment.id);
  await openAccount(ctx, tx, CHAIN_ACCOUNT, "chain");
  await openAccount(ctx, tx, account, payee === null ? "unallocated" : "customer");
  const { signature, transfer } = arrival;
  const { amountMicroUsdc } = transfer;
  const reference = await inboundReference(tx, signature, transfer.index);
  const posting = { debit: CHAIN_ACCOUNT, credit: account, amountMicroUsdc, reason: "inbound", reference };
  if (!(await post(ctx, tx, posting))) throw new Error(`the ledger has ${signature} although its row is new`);
  const base = `${signature}:${transfer.index}`;
  if (payee !== null && reference !== base) await setOffLoss(ctx, tx, { base, reference, account, amountMicroUsdc });
}

async function received(tx: Transaction, payee: Payee, arrival: Arrival): Promise<Payee> {
  const receivedMicroUsdc = payee.payment.receivedMicroUsdc + arrival.transfer.amountMicroUsdc;
  await tx.update(payments).set({ receivedMicroUsdc }).where(eq(payments.id, payee.payment.id));
  return payee.cluster === null
    ? { ...payee, payment: { ...payee.payment, receivedMicroUsdc } }
    : { ...payee, payment: { ...payee.payment, receivedMicroUsdc } };
}

/** What the payment's state makes of it. */
async function follow(ctx: Context, tx: Transaction, payee: Payee, arrival: Arrival, added: bigint): Promise<void> {
  const { signature } = arrival;
  if (payee.cluster === null) return await settleTopup(ctx, tx, payee.payment, signature);
  const { cluster, payment } = payee;
  if (payment.status === "settled") {
    if (added > 0n) await noteSurplus(ctx, tx, payment, added, signature);
  } else if (added > 0n && isLate(ctx, payment, arrival)) {
    await noteLate(ctx, tx, payment, added, signature);
  } else if (payment.status !== "expired") {
    await settlePayment(ctx, tx, cluster, payment, signature);
  }
  await refundAgain(ctx, tx, cluster);
}
