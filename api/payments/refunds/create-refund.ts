import { formatUsdc, type InputOf, type Operations, type OutputOf, parseUsdc, VolleyError } from "@volley/schema";
import type { Id } from "@volley/schema/ids";
import { and, eq, inArray, type SQL } from "drizzle-orm";
import { clusterNotFound, lockCluster, openCluster } from "../../clusters/open-cluster.ts";
import type { Context } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { customers, payments, refunds } from "../../db/tables.ts";
import { runIdempotent } from "../../idempotency/run-idempotent.ts";
import { openAccount, requireUnfrozen } from "../../identity/open-account.ts";
import { requireAllowedAddress } from "../../identity/screen-address.ts";
import { checkChallenge, useChallenge } from "../../identity/use-challenge.ts";
import { customerAccount } from "../../ledger/accounts.ts";
import { balanceOf } from "../../ledger/balance-of.ts";
import { LedgerError } from "../../ledger/errors.ts";
import { availableCredit } from "../available-credit.ts";
import { insufficientBalance } from "../insufficient-balance.ts";
import { beginRefund, type RefundRow, toBillRefund } from "./begin-refund.ts";
import { checkRefundAddress } from "./check-refund-address.ts";
import { REFUNDS_PER_DAY_MAX, refundsOfDay } from "./refunds-of-day.ts";
import { toRefundResource } from "./to-refund-resource.ts";
import { updateBillRefund } from "./update-bill-refund.ts";

type Create = Operations["refunds.create"];
type Input = InputOf<Create>;

/**
 * Sends the cluster's credit, or money of the account's balance, to an address. One that its owner has proved, or that
 * was set before there was money, gets it at once; any other after a delay, in which the refund can be cancelled.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `not_found`, `invalid_field`, `address_invalid`,
 * `nothing_to_refund`, `insufficient_balance`, `account_frozen`, `address_refused`, `challenge_invalid`, `signature_invalid`,
 * `rate_limited`, `idempotency_*`
 */
export async function createRefund(ctx: Context, input: Input): Promise<OutputOf<Create>> {
  const { cluster_id: clusterId, amount } = input;
  if (clusterId !== undefined && amount !== undefined) throw partOfCredit();
  const source = clusterId === undefined ? await openAccount(ctx) : await openCluster(ctx, clusterId);
  await checkRefundAddress(ctx, input.to);
  const screened = { address: input.to, subject: "refund_address", reference: ctx.idempotencyKey ?? "" } as const;
  await requireAllowedAddress(ctx, ctx.db, screened);
  const answer = await runIdempotent(ctx, { operation: "refunds.create", input }, async (tx) =>
    toRefundResource(
      clusterId === undefined
        ? await fromBalance(ctx, tx, source.id, input)
        : await fromCluster(ctx, tx, clusterId, input),
    ),
  );
  ctx.hints.notify("tasks");
  if (clusterId !== undefined) ctx.hints.notify(`cluster:${clusterId}`);
  return answer;
}

async function fromCluster(ctx: Context, tx: Transaction, id: Id<"cluster">, input: Input): Promise<RefundRow> {
  const cluster = await lockCluster(tx, id);
  if (cluster === null) throw clusterNotFound();
  if (cluster.customerId !== null) await requireUnfrozen(tx, cluster.customerId);
  const amountMicroUsdc = await availableCredit(tx, id);
  if (amountMicroUsdc === 0n) throw await nothingToRefund(tx, id);
  const isOwners = input.to === cluster.refundAddress || input.to === (await walletOf(tx, cluster.customerId));
  const notBeforeMs = await earliest(ctx, tx, input, isOwners);
  const order = { owner: { clusterId: id }, toAddress: input.to, amountMicroUsdc, notBeforeMs };
  const refund = await beginRefund(ctx, tx, order);
  await requireRoom(ctx, tx, eq(refunds.clusterId, id));
  await updateBillRefund(tx, cluster, toBillRefund(refund));
  return refund;
}

async function fromBalance(ctx: Context, tx: Transaction, customerId: string, input: Input): Promise<RefundRow> {
  await requireUnfrozen(tx, customerId);
  const { availableMicroUsdc } = await balanceOf(tx, customerAccount(customerId));
  const amountMicroUsdc = input.amount === undefined ? availableMicroUsdc : parseUsdc(input.amount);
  if (amountMicroUsdc === 0n) throw emptyBalance();
  if (amountMicroUsdc > availableMicroUsdc) throw insufficientBalance();
  const notBeforeMs = await earliest(ctx, tx, input, input.to === (await walletOf(tx, customerId)));
  try {
    const owner = { customerId };
    const refund = await beginRefund(ctx, tx, { owner, toAddress: input.to, amountMicroUsdc, notBeforeMs });
    await requireRoom(ctx, tx, eq(refunds.customerId, customerId));
    return refund;
  } catch (error) {
    // Spent between the look and the posting; the ledger's constraint decides.
    if (error instanceof LedgerError && error.code === "insufficient_funds") throw insufficientBalance();
    throw error;
  }
}

/** Asked once the posting has locked the owner's money, so that requests that come together are counted too. */
async function requireRoom(ctx: Context, tx: Transaction, ofOwner: SQL): Promise<void> {
  if ((await refundsOfDay(ctx, tx, ofOwner)) <= REFUNDS_PER_DAY_MAX) return;
  throw new VolleyError("rate_limited", `No more than ${REFUNDS_PER_DAY_MAX} refunds can be asked for in a day.`, {
    nextAction: "Ask for one refund of the whole amount.",
    retryAfterSeconds: 3600,
  });
}

async function walletOf(tx: Transaction, customerId: string | null): Promise<string | null> {
  if (customerId === null) return null;
  const [customer] = await tx.select({ wallet: customers.wallet }).from(customers).where(eq(customers.id, customerId));
  return customer?.wallet ?? null;
}

/** An address that nobody has shown to be able to sign may be a slip, so there is time to take it back. */
async function earliest(ctx: Context, tx: Transaction, { to, proof }: Input, isOwners: boolean): Promise<number> {
  const nowMs = ctx.clock.nowMs();
  if (proof !== undefined) {
    const proved = await checkChallenge({ db: tx, clock: ctx.clock }, "refund_address", proof);
    if (proved !== to) {
      throw new VolleyError("signature_invalid", `The proof is of ${proved}, not of the address to refund to.`, {
        nextAction: "Ask for a challenge of the address that you want the money at, and sign it with that wallet.",
      });
    }
    await useChallenge(ctx, tx, proof.nonce);
    return nowMs;
  }
  return isOwners ? nowMs : nowMs + ctx.settings.refundDelaySeconds * 1000;
}

function partOfCredit(): VolleyError {
  const message = "A cluster's credit is refunded whole; an amount can be taken of the balance alone.";
  return new VolleyError("invalid_field", message, {
    nextAction: "Leave out `amount`, or `cluster_id`.",
    errors: [{ pointer: "/amount", code: "invalid_field", message }],
  });
}

function emptyBalance(): VolleyError {
  return new VolleyError("nothing_to_refund", "The account's balance has nothing available.", {
    nextAction: "What clusters hold comes back when they end; see balance.get.",
  });
}

async function nothingToRefund(tx: Transaction, clusterId: string): Promise<VolleyError> {
  const [open] = await tx
    .select({ received: payments.receivedMicroUsdc })
    .from(payments)
    .where(and(eq(payments.clusterId, clusterId), inArray(payments.status, ["pending", "detected"])));
  if (open === undefined || open.received === 0n) {
    return new VolleyError("nothing_to_refund", "This cluster has no credit.", {
      nextAction: "What a running cluster doesn't use becomes credit when it ends; tear it down first.",
    });
  }
  return new VolleyError(
    "nothing_to_refund",
    `The ${formatUsdc(open.received)} USDC that have come count towards a payment that is still open.`,
    { nextAction: "Pay the rest, or tear the cluster down to get back what has come." },
  );
}
