import { parseUsdc } from "@volley/schema/money";
import type { Quote } from "@volley/schema/resources/market";
import type { Payment } from "@volley/schema/resources/payment";
import { eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { clusters } from "../db/tables.ts";
import { loadPaymentResources } from "./load-payments.ts";
import { findPayment } from "./solana-pay/find-payment.ts";
import { solanaPayUrl } from "./solana-pay/transfer-request.ts";

/** What whoever has the link to a payment may see: what it is for, and where it stands. */
export interface Checkout {
  readonly payment: Payment;
  /** What it pays for; without lines where that is no new cluster. */
  readonly subject: string;
  readonly lines: Quote["lines"];
  /** Transfer request for what is still missing; null when nothing is to be sent. */
  readonly transferUrl: string | null;
}

/** @throws {VolleyError} `not_found` */
export async function getCheckout(ctx: Context, paymentId: string): Promise<Checkout> {
  const row = await findPayment(ctx, paymentId);
  const [payment] = await loadPaymentResources(ctx, [row]);
  if (payment === undefined) throw new Error(`payment ${paymentId} has no resource`);
  const quote = row.purpose === "reserve" ? await quoteOf(ctx, row.clusterId) : null;
  return {
    payment,
    subject: quote === null ? SUBJECTS[row.purpose] : subjectOf(quote),
    lines: quote?.lines ?? [],
    transferUrl: transferUrl(payment, row.expiresAt > ctx.clock.nowMs()),
  };
}

const SUBJECTS = { reserve: "A GPU cluster", extend: "More time for a GPU cluster", topup: "Top-up of your balance" };

async function quoteOf(ctx: Context, clusterId: string | null): Promise<Quote | null> {
  if (clusterId === null) return null;
  const [cluster] = await ctx.db.select({ quote: clusters.quote }).from(clusters).where(eq(clusters.id, clusterId));
  return cluster?.quote ?? null;
}

function subjectOf({ nodes, gpus_per_node, gpu, duration_seconds }: Quote): string {
  const machines = nodes === 1 ? "1 node" : `${nodes} nodes`;
  return `${machines} with ${gpus_per_node} × ${gpu}, for up to ${durationText(duration_seconds)}`;
}

function durationText(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.ceil((seconds % 3600) / 60)];
  return [hours > 0 ? `${hours} h` : "", minutes > 0 ? `${minutes} min` : ""].filter((part) => part !== "").join(" ");
}

function transferUrl({ id, solana_pay, missing, status }: Payment, isInTime: boolean): string | null {
  const amountMicroUsdc = parseUsdc(missing.amount);
  const isOpen = status === "pending" || status === "detected";
  if (solana_pay === null || !isOpen || !isInTime || amountMicroUsdc === 0n) return null;
  const { recipient, spl_token: mint, reference } = solana_pay;
  return solanaPayUrl({ recipient, mint, reference, amountMicroUsdc, message: id });
}
