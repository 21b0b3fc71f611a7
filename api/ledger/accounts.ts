/** Names of the ledger's accounts. A balance is credits minus debits. */
import type { Id } from "@volley/schema/ids";
import { sql } from "drizzle-orm";
import type { Maker } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import type { accounts } from "../db/tables.ts";

export type AccountKind = (typeof accounts.$inferSelect)["kind"];

/** What our token account on chain holds, as a claim: its balance is minus the USDC there. */
export const CHAIN_ACCOUNT = "chain:usdc";
/** What the card processor owes us, as a claim. */
export const CARD_ACCOUNT = "card:stripe";
export const REVENUE_ACCOUNT = "revenue:platform";
/** Money that we had given credit for and that was taken back: forks, disputes. */
export const LOSS_ACCOUNT = "loss:platform";
/** USDC that reached us without saying for what. */
export const UNALLOCATED_ACCOUNT = "unallocated:usdc";

/**
 * Money of a payer: of an account its balance; of a cluster what was paid for it and is neither spent nor sent back;
 * of a top-up what has come and isn't final enough for the balance.
 */
export const customerAccount = (ownerId: string) => `customer:${ownerId}`;
/** Where the bill passes through; zero before and after. */
export const escrowAccount = (clusterId: string) => `escrow:${clusterId}`;
/** On its way back to the renter. */
export const refundAccount = (refundId: Id<"refund"> | string) => `refund:${refundId}`;
export const supplierAccount = (supplierId: string) => `supplier:${supplierId}`;
/** Money of an account that was paid by card and is disputed. */
export const disputeAccount = (customerId: string) => `dispute:${customerId}`;

/** Makes the account if it isn't there. */
export async function openAccount(ctx: Maker, tx: Transaction, id: string, kind: AccountKind): Promise<void> {
  await tx.execute(sql`SELECT ledger_open(${id}, ${kind}, ${ctx.clock.nowMs()}::bigint)`);
}

/** Takes the account's row, where a later posting would take it after those of accounts that come after it. */
export async function lockAccount(tx: Transaction, id: string): Promise<void> {
  await tx.execute(sql`SELECT 1 FROM accounts WHERE id = ${id} FOR NO KEY UPDATE`);
}
