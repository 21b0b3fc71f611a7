import { sql } from "drizzle-orm";
import { type Executor, rows } from "../db/database.ts";
import { customerAccount, escrowAccount } from "./accounts.ts";

export interface OpenHold {
  readonly id: string;
  readonly amountMicroUsdc: bigint;
  readonly funded: boolean;
}

/** The holds for the cluster's bill, of whoever's money, that are neither posted nor voided, oldest first. */
export async function openHoldsOf(executor: Executor, clusterId: string): Promise<OpenHold[]> {
  const found = await rows<{ id: string; amount: string; funded: boolean }>(
    executor,
    sql`SELECT hold.id, hold.amount_micro_usdc::text AS amount,
               EXISTS (SELECT 1 FROM transfers WHERE pending_id = hold.id AND kind = 'fund') AS funded
        FROM transfers AS hold
        WHERE hold.kind = 'pending' AND hold.credit_account = ${escrowAccount(clusterId)}
          AND NOT EXISTS (SELECT 1 FROM transfers WHERE pending_id = hold.id AND kind IN ('post', 'void'))
        ORDER BY hold.created_at, hold.id`,
  );
  return found.map((row) => ({ id: row.id, amountMicroUsdc: BigInt(row.amount), funded: row.funded }));
}

/** How much the cluster's funded holds bind: the most that its bill can be. */
export async function fundedMicroUsdc(executor: Executor, clusterId: string): Promise<bigint> {
  const holds = await openHoldsOf(executor, clusterId);
  return holds.reduce((sum, hold) => (hold.funded ? sum + hold.amountMicroUsdc : sum), 0n);
}

/** What the cluster's holds had bound of an account's balance and its bill didn't take: it never left the balance. */
export async function freedOfBalance(executor: Executor, clusterId: string): Promise<bigint> {
  const [found] = await rows<{ freed: string }>(
    executor,
    sql`SELECT coalesce(sum(funded.amount_micro_usdc - coalesce(posted.amount_micro_usdc, 0)), 0)::text AS freed
        FROM transfers AS hold
        JOIN transfers AS funded ON funded.pending_id = hold.id AND funded.kind = 'fund'
        LEFT JOIN transfers AS posted ON posted.pending_id = hold.id AND posted.kind = 'post'
        WHERE hold.kind = 'pending' AND hold.credit_account = ${escrowAccount(clusterId)}
          AND hold.debit_account <> ${customerAccount(clusterId)}`,
  );
  return BigInt(found?.freed ?? 0);
}
