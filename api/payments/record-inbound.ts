import { and, eq, sql } from "drizzle-orm";
import { type ClusterRow, lockCluster } from "../clusters/open-cluster.ts";
import type { Context } from "../context.ts";
import { rows, type Transaction } from "../db/database.ts";
import { inboundTransfers, payments } from "../db/tables.ts";
import { CHAIN_ACCOUNT, customerAccount, openAccount, UNALLOCATED_ACCOUNT } from "../ledger/accounts.ts";
import { post } from "../ledger/post.ts";
import type { AttributedTransfer } from "./attribute-transfers.ts";
import { refundRest } from "./refund-rest.ts";
import { noteLate, noteSurplus, settlePayment } from "./settle-payment.ts";
import type { PaymentRow } from "./to-payment-resource.ts";
import { updateBillRefund } from "./update-bill-refund.ts";

export interface InboundInput {
  readonly signature: string;
  readonly slot: bigint;
  readonly blockTimeSeconds: number | null;
  readonly transfer: AttributedTransfer;
  /** The level at which the transaction was seen. */
  readonly finality: "confirmed" | "finalized";
}

interface Payee {
  readonly cluster: ClusterRow;
  readonly payment: PaymentRow;
}

/**
 * Writes down one transfer of USDC into our token account, once, in one transaction: its row, its ledger transfer to
 * the cluster that it names or to the unallocated money, and all that follows for the payment. Seen again, it changes
 * nothing but its finality.
 * @returns whether anything was written
 */
export async function recordInbound(ctx: Context, input: InboundInput): Promise<boolean> {
  const outcome = await ctx.db.transaction(async (tx) => {
    const payee = await lockPayee(tx, input.transfer.reference);
    const late = payee !== null && isLate(ctx, payee.payment, input);
    const change = await writeRow(ctx, tx, input, payee, late);
    if (change === "none") return { changed: false, payee };
    if (change === "raised") {
      if (payee !== null) await follow(ctx, tx, payee, input, 0n);
      return { changed: true, payee };
    }
    await credit(ctx, tx, input, payee);
    if (payee !== null) await follow(ctx, tx, await received(tx, payee, input), input, input.transfer.amountMicroUsdc);
    return { changed: true, payee };
  });
  if (outcome.changed && outcome.payee !== null) {
    ctx.hints.notify("tasks");
    ctx.hints.notify(`cluster:${outcome.payee.cluster.id}`);
  }
  return outcome.changed;
}

/** The payment that a reference names, with its cluster, both locked in this order. */
async function lockPayee(tx: Transaction, reference: string | null): Promise<Payee | null> {
  if (reference === null) return null;
  const [found] = await tx
    .select({ id: payments.id, clusterId: payments.clusterId })
    .from(payments)
    .where(eq(payments.reference, reference));
  if (found === undefined) return null;
  const cluster = await lockCluster(tx, found.clusterId);
  const [payment] = await tx.select().from(payments).where(eq(payments.id, found.id)).for("no key update");
  return cluster === null || payment === undefined ? null : { cluster, payment };
}

/** By the block's time; where the chain doesn't tell it, by ours. */
function isLate(ctx: Context, payment: PaymentRow, input: InboundInput): boolean {
  if (payment.status === "expired") return true;
  if (payment.status === "settled") return false;
  const atMs = input.blockTimeSeconds === null ? ctx.clock.nowMs() : input.blockTimeSeconds * 1000;
  return atMs > payment.expiresAt;
}

/** `new`: its money is to be credited; `raised`: it has become final. */
async function writeRow(
  ctx: Context,
  tx: Transaction,
  input: InboundInput,
  payee: Payee | null,
  late: boolean,
): Promise<"new" | "raised" | "none"> {
  const { signature, slot, finality, transfer } = input;
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
  if (known.amountMicroUsdc !== transfer.amountMicroUsdc) {
    ctx.metrics.count("volley_chain_contradictions_total");
    ctx.logger.error("a node tells another amount of a transfer than before", { signature, index: transfer.index });
    return "none";
  }
  if (known.finality === "dropped") {
    await tx.update(inboundTransfers).set({ finality, slot, late, missingSinceSlot: null }).where(isThis);
    return "new";
  }
  if (known.finality === "confirmed" && finality === "finalized") {
    await tx.update(inboundTransfers).set({ finality, slot, missingSinceSlot: null }).where(isThis);
    return "raised";
  }
  return "none";
}

async function credit(ctx: Context, tx: Transaction, input: InboundInput, payee: Payee | null): Promise<void> {
  const account = payee === null ? UNALLOCATED_ACCOUNT : customerAccount(payee.cluster.id);
  await openAccount(ctx, tx, CHAIN_ACCOUNT, "chain");
  await openAccount(ctx, tx, account, payee === null ? "unallocated" : "customer");
  const moved = await post(ctx, tx, {
    debit: CHAIN_ACCOUNT,
    credit: account,
    amountMicroUsdc: input.transfer.amountMicroUsdc,
    reason: "inbound",
    reference: await inboundReference(tx, input.signature, input.transfer.index),
  });
  if (!moved) throw new Error(`the ledger has ${input.signature} although its row is new`);
}

/** One cause per landing: a transaction that was dropped with its fork may land again. */
async function inboundReference(tx: Transaction, signature: string, index: number): Promise<string> {
  const base = `${signature}:${index}`;
  const [drops] = await rows<{ count: number }>(
    tx,
    sql`SELECT count(DISTINCT reference)::int AS count FROM transfers
        WHERE reason = 'inbound_dropped' AND (reference = ${base} OR reference LIKE ${`${base}:%`})`,
  );
  return drops === undefined || drops.count === 0 ? base : `${base}:${drops.count}`;
}

async function received(tx: Transaction, payee: Payee, input: InboundInput): Promise<Payee> {
  const receivedMicroUsdc = payee.payment.receivedMicroUsdc + input.transfer.amountMicroUsdc;
  await tx.update(payments).set({ receivedMicroUsdc }).where(eq(payments.id, payee.payment.id));
  return { ...payee, payment: { ...payee.payment, receivedMicroUsdc } };
}

/** What the payment's state makes of it. */
async function follow(
  ctx: Context,
  tx: Transaction,
  { cluster, payment }: Payee,
  input: InboundInput,
  added: bigint,
): Promise<void> {
  const { signature } = input;
  if (payment.status === "settled") {
    if (added > 0n) await noteSurplus(ctx, tx, payment, added, signature);
  } else if (added > 0n && isLate(ctx, payment, input)) {
    await noteLate(ctx, tx, payment, added, signature);
  } else if (payment.status !== "expired") {
    await settlePayment(ctx, tx, cluster, payment, signature);
  }
  // After the end there is nothing left to wait for: credit goes where the renter wanted it.
  if (cluster.bill !== null && added > 0n) await updateBillRefund(tx, cluster, await refundRest(ctx, tx, cluster));
}
