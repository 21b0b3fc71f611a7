/** Solana Pay without SOL: the sponsor pays the fee of a transaction request, for wallets that can't, a few times. */
import { createHash } from "node:crypto";
import {
  type Address,
  address,
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
} from "@solana/kit";
import { and, count, eq, gt } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { type Transaction, wake } from "../../db/database.ts";
import { payments, sponsoredTransactions } from "../../db/tables.ts";
import type { Chain } from "../../ports/chain.ts";
import type { PaymentRow } from "../to-payment-resource.ts";

/** The treasury's process signs in well under a second; a wallet shouldn't wait longer than its user does. */
const WAIT_MS = 4_000;
const POLL_MS = 100;

type Sponsored = typeof sponsoredTransactions.$inferSelect;

export interface UnsignedRequest {
  readonly transactionBase64: string;
  readonly lastValidBlockHeight: bigint;
}

/** Whoever pays the fee in the wallet's place: nobody where it has SOL, since an account that exists is rent-exempt. */
export async function sponsorFor({ settings }: Context, chain: Chain, payer: Address): Promise<Address | null> {
  const { sponsorAddress, sponsoredFeesPerPayment } = settings;
  if (sponsorAddress === null || sponsoredFeesPerPayment === 0) return null;
  return (await chain.accountOwner(payer)) === null ? address(sponsorAddress) : null;
}

/**
 * The same transaction with the sponsor's signature, for the payer to sign last. As long as the one that the payer was
 * given before can still land, it is that one.
 * @returns null where the sponsor won't, or not in time: then the wallet has to pay the fee itself
 */
export async function withSponsor(ctx: Context, payment: PaymentRow, request: UnsignedRequest): Promise<string | null> {
  const height = await ctx.chain.blockHeight("confirmed");
  const id = await ctx.db.transaction((tx) => findOrInsert(ctx, tx, payment, request, height));
  if (id === null) return null;
  ctx.hints.notify("tasks");
  const endMs = ctx.clock.nowMs() + WAIT_MS;
  while (!ctx.signal.aborted && ctx.clock.nowMs() < endMs) {
    const [row] = await ctx.db.select().from(sponsoredTransactions).where(eq(sponsoredTransactions.id, id));
    if (row?.status === "signed") return row.signedBase64;
    if (row?.status !== "requested") return null;
    await ctx.clock.sleep(POLL_MS, ctx.signal);
  }
  return null;
}

async function findOrInsert(
  ctx: Context,
  tx: Transaction,
  payment: PaymentRow,
  { transactionBase64, lastValidBlockHeight }: UnsignedRequest,
  height: bigint,
): Promise<string | null> {
  // One at a time counts, or two at once would both be the last one.
  await tx.select({ id: payments.id }).from(payments).where(eq(payments.id, payment.id)).for("no key update");
  const ofPayment = and(
    eq(sponsoredTransactions.paymentId, payment.id),
    eq(sponsoredTransactions.purpose, "transaction_request"),
  );
  const alive = await tx
    .select()
    .from(sponsoredTransactions)
    .where(and(ofPayment, gt(sponsoredTransactions.lastValidBlockHeight, height)))
    .limit(ctx.settings.sponsoredFeesPerPayment);
  const isOpen = ({ status }: Sponsored) => status === "requested" || status === "signed";
  const same = alive.find((row) => isOpen(row) && asksTheSame(row.transactionBase64, transactionBase64));
  if (same !== undefined) return same.id;
  const [all] = await tx.select({ count: count() }).from(sponsoredTransactions).where(ofPayment);
  if ((all?.count ?? 0) >= ctx.settings.sponsoredFeesPerPayment) return null;
  const { messageBytes } = getTransactionDecoder().decode(getBase64Encoder().encode(transactionBase64));
  const id = createHash("sha256").update(Uint8Array.from(messageBytes)).digest("hex");
  const nowMs = ctx.clock.nowMs();
  const inserted = await tx
    .insert(sponsoredTransactions)
    .values({
      id,
      purpose: "transaction_request",
      paymentId: payment.id,
      transactionBase64,
      payerSignature: null,
      status: "requested",
      lastValidBlockHeight,
      createdAt: nowMs,
    })
    .onConflictDoNothing()
    .returning({ id: sponsoredTransactions.id });
  if (inserted.length > 0) await wake(tx, "sponsor", id, nowMs);
  return id;
}

/** All but the blockhash: payer, amount and reference are in the accounts and instructions. */
function asksTheSame(one: string, other: string): boolean {
  return JSON.stringify(withoutBlockhash(one)) === JSON.stringify(withoutBlockhash(other));
}

function withoutBlockhash(base64: string): unknown {
  const { messageBytes } = getTransactionDecoder().decode(getBase64Encoder().encode(base64));
  const { lifetimeToken: _blockhash, ...rest } = getCompiledTransactionMessageDecoder().decode(messageBytes);
  return rest;
}
