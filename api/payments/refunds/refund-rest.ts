import { parseUsdc, toMoney } from "@volley/schema/money";
import type { Bill, KeptBill } from "@volley/schema/resources/cluster";
import { and, eq, inArray } from "drizzle-orm";
import { type Context, type Maker, newId } from "../../context.ts";
import type { Transaction } from "../../db/database.ts";
import { refunds } from "../../db/tables.ts";
import { customerAccount, openAccount } from "../../ledger/accounts.ts";
import { freedOfBalance } from "../../ledger/holds-of.ts";
import { post } from "../../ledger/post.ts";
import { availableCredit } from "../available-credit.ts";
import { isFinalEnough } from "../inbound/is-final-enough.ts";
import { beginRefund, toBillRefund } from "./begin-refund.ts";
import { REFUNDS_PER_DAY_MAX, refundsOfDay } from "./refunds-of-day.ts";

/** The other half of a day is for what the cluster's holder asks for. */
const UNASKED_PER_DAY_MAX = REFUNDS_PER_DAY_MAX / 2;

/** What of a cluster says where its rest goes. */
export interface RestOwner {
  readonly id: string;
  readonly customerId: string | null;
  readonly refundAddress: string | null;
  readonly bill: KeptBill | null;
}

/**
 * Sends the cluster's whole credit where its renter wants it: to the address that was set, else into the account's
 * balance as soon as it is final enough to be spent there, else it stays credit of the cluster. The caller holds the
 * cluster's row.
 * @returns the refund's part of the cluster's bill
 */
export async function refundRest(
  ctx: Maker & Pick<Context, "settings">,
  tx: Transaction,
  cluster: RestOwner,
): Promise<Bill["refund"]> {
  const { id, customerId, refundAddress } = cluster;
  if (refundAddress !== null) return await sendRest(ctx, tx, id, refundAddress);
  const amountMicroUsdc = await availableCredit(tx, id);
  if (customerId === null || !(await isFinalEnough(ctx, tx, id))) return toCredit(amountMicroUsdc);
  return await moveToBalance(ctx, tx, cluster, customerId, amountMicroUsdc);
}

/** {@link refundRest} of a cluster with an address. */
export async function sendRest(
  ctx: Maker,
  tx: Transaction,
  clusterId: string,
  toAddress: string,
): Promise<Bill["refund"]> {
  const amountMicroUsdc = await availableCredit(tx, clusterId);
  if (amountMicroUsdc === 0n || (await mustWait(ctx, tx, clusterId, toAddress))) return toCredit(amountMicroUsdc);
  // Whoever reserved chose it before there was anything to steal, so it need not wait.
  const order = { owner: { clusterId }, toAddress, amountMicroUsdc, notBeforeMs: ctx.clock.nowMs() };
  return toBillRefund(await beginRefund(ctx, tx, order));
}

function toCredit(amountMicroUsdc: bigint): Bill["refund"] {
  return { id: null, amount: toMoney(amountMicroUsdc), to: "credit", status: "credited", signature: null };
}

/**
 * Each refund costs the treasury a fee, and one transaction can bring dust sixty times: what comes while a refund is
 * under way is credit until that one is final, and then goes all at once. What comes again and again all day stays
 * credit, for its holder to ask for.
 */
async function mustWait(ctx: Maker, tx: Transaction, clusterId: string, toAddress: string): Promise<boolean> {
  if ((await refundsOfDay(ctx, tx, eq(refunds.clusterId, clusterId))) >= UNASKED_PER_DAY_MAX) return true;
  const isOpen = inArray(refunds.status, ["pending", "held", "sent"]);
  const found = await tx
    .select({ id: refunds.id })
    .from(refunds)
    .where(and(eq(refunds.clusterId, clusterId), eq(refunds.toAddress, toAddress), isOpen))
    .limit(1);
  return found.length > 0;
}

async function moveToBalance(
  ctx: Maker,
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
  const amount = toMoney((await inBalance(tx, cluster)) + amountMicroUsdc);
  return { id: null, amount, to: "balance", status: "credited", signature: null };
}

/** What the account has back already: at the end, what the bill left of holds of its balance; later, what the bill says. */
async function inBalance(tx: Transaction, { id, bill }: RestOwner): Promise<bigint> {
  if (bill === null) return await freedOfBalance(tx, id);
  return bill.refund.to === "balance" ? parseUsdc(bill.refund.amount.amount) : 0n;
}
