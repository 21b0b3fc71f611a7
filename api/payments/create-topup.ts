import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { formatUsdc, parseUsdc } from "@volley/schema/money";
import { and, count, eq, inArray } from "drizzle-orm";
import { type Context, newId } from "../context.ts";
import { type Transaction, wake } from "../db/database.ts";
import { customers, payments } from "../db/tables.ts";
import { runIdempotent } from "../idempotency/run-idempotent.ts";
import { openAccount, requireUnfrozen } from "../identity/open-account.ts";
import { insertCardTopup, showCheckout } from "./cards/card-topup.ts";
import { owesForCards } from "./cards/freeze-for-cards.ts";
import { requireChainOpen } from "./chain-closed.ts";
import { commitmentFor } from "./inbound/commitment-for.ts";
import { newReference } from "./solana-pay/transfer-request.ts";
import { type PaymentRow, toPaymentResource } from "./to-payment-resource.ts";

type Create = Operations["topups.create"];

/** Each open one is looked for on chain, so nobody gets any number of them. */
const OPEN_TOPUPS_MAX = 20;

/**
 * Asks for a payment into the account's balance. Whatever comes for it is credited: less, more, or late.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `account_frozen`, `amount_out_of_range`,
 * `holds_exceeded`, `unavailable`, `idempotency_*`
 */
export async function createTopup(ctx: Context, input: InputOf<Create>): Promise<OutputOf<Create>> {
  const { id: customerId } = await openAccount(ctx);
  const amountMicroUsdc = requireAmount(ctx, input.amount);
  const ask = input.rail === "stripe" ? insertCardTopup : insertWalletTopup;
  const topup = await runIdempotent(ctx, { operation: "topups.create", input }, async (tx) => {
    // One at a time, so that the limits hold for requests that come together.
    await tx.select({ id: customers.id }).from(customers).where(eq(customers.id, customerId)).for("no key update");
    // A card took back what was spent: USDC that nobody can take back are how the account gets out of that.
    const isWayOut = input.rail === "solana_pay" && (await owesForCards(tx, customerId));
    if (!isWayOut) await requireUnfrozen(tx, customerId);
    await requireRoom(tx, customerId);
    return toPaymentResource(ctx.settings, await ask(ctx, tx, customerId, amountMicroUsdc));
  });
  ctx.hints.notify("tasks");
  return input.rail === "stripe" ? await showCheckout(ctx, topup.id) : topup;
}

function requireAmount({ settings }: Context, text: string): bigint {
  const amountMicroUsdc = parseUsdc(text);
  const { topupMinMicroUsdc: least, topupMaxMicroUsdc: most } = settings;
  if (amountMicroUsdc >= least && amountMicroUsdc <= most) return amountMicroUsdc;
  const range = `${formatUsdc(least)} to ${formatUsdc(most)} USDC`;
  throw new VolleyError("amount_out_of_range", `A top-up is ${range}.`, { nextAction: `Ask for ${range}.` });
}

async function requireRoom(tx: Transaction, customerId: string): Promise<void> {
  const isOpen = and(
    eq(payments.customerId, customerId),
    eq(payments.purpose, "topup"),
    inArray(payments.status, ["pending", "detected"]),
  );
  const [open] = await tx.select({ count: count() }).from(payments).where(isOpen);
  if ((open?.count ?? 0) < OPEN_TOPUPS_MAX) return;
  throw new VolleyError("holds_exceeded", `${OPEN_TOPUPS_MAX} top-ups of this account are open already.`, {
    nextAction: "Pay one of them, or wait until they expire.",
    retryAfterSeconds: 60,
  });
}

async function insertWalletTopup(
  ctx: Context,
  tx: Transaction,
  customerId: string,
  amountMicroUsdc: bigint,
): Promise<PaymentRow> {
  const { settings } = ctx;
  const nowMs = ctx.clock.nowMs();
  await requireChainOpen(tx);
  const [payment] = await tx
    .insert(payments)
    .values({
      id: newId(ctx, "payment"),
      customerId,
      purpose: "topup",
      rail: "solana_pay",
      status: "pending",
      amountMicroUsdc,
      recipient: settings.treasuryAddress,
      mint: settings.usdcMint,
      reference: newReference(ctx.random),
      commitment: commitmentFor(amountMicroUsdc, settings),
      expiresAt: nowMs + settings.paymentLifetimeSeconds * 1000,
      createdAt: nowMs,
    })
    .returning();
  if (payment === undefined) throw new Error("the payment's row was not written");
  await wake(tx, "payment", payment.id, nowMs);
  return payment;
}
