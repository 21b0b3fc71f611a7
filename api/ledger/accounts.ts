/** Names of the ledger's accounts. A balance is credits minus debits. */
import type { Id } from "@volley/schema/ids";
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import type { accounts } from "../db/tables.ts";

export type AccountKind = (typeof accounts.$inferSelect)["kind"];

/** What our token account on chain holds, as a claim: its balance is minus the USDC there. */
export const CHAIN_ACCOUNT = "chain:usdc";
export const REVENUE_ACCOUNT = "revenue:platform";
/** USDC that reached us without saying for what. */
export const UNALLOCATED_ACCOUNT = "unallocated:usdc";

/** The cluster's money: paid, and neither spent nor sent back. */
export const customerAccount = (clusterId: string) => `customer:${clusterId}`;
/** Where the bill passes through; zero before and after. */
export const escrowAccount = (clusterId: string) => `escrow:${clusterId}`;
/** On its way back to the renter. */
export const refundAccount = (refundId: Id<"refund"> | string) => `refund:${refundId}`;
export const supplierAccount = (supplierId: string) => `supplier:${supplierId}`;

/** Makes the account if it isn't there. */
export async function openAccount(ctx: Context, tx: Transaction, id: string, kind: AccountKind): Promise<void> {
  await tx.execute(sql`SELECT ledger_open(${id}, ${kind}, ${ctx.clock.nowMs()}::bigint)`);
}
