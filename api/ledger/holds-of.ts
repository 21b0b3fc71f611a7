import { sql } from "drizzle-orm";
import { type Executor, rows } from "../db/database.ts";
import { escrowAccount } from "./accounts.ts";

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
