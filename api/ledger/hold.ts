import type { Id } from "@volley/schema/ids";
import { sql } from "drizzle-orm";
import { type Maker, newId } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { customerAccount, escrowAccount } from "./accounts.ts";
import { ledgerCall } from "./errors.ts";

export interface HoldInput {
  readonly clusterId: string;
  /** Whose money: the cluster's own, or the account's balance. */
  readonly ownerId: string;
  readonly amountMicroUsdc: bigint;
  /** When whoever made it will give it up if it isn't funded. */
  readonly timeoutMs: number;
  /** What it is for, such as a payment's id; unique among the cluster's holds. */
  readonly reference: string;
}

/** Declares a hold for the cluster's bill. It binds nothing before it is funded. */
export async function hold(ctx: Maker, tx: Transaction, input: HoldInput): Promise<Id<"transfer">> {
  const id = newId(ctx, "transfer");
  const { clusterId, ownerId, amountMicroUsdc, timeoutMs, reference } = input;
  await ledgerCall(
    tx.execute(
      sql`SELECT ledger_hold(${id}, ${customerAccount(ownerId)}, ${escrowAccount(clusterId)},
                             ${amountMicroUsdc}::bigint, ${timeoutMs}::bigint, 'hold', ${reference},
                             ${ctx.clock.nowMs()}::bigint)`,
    ),
  );
  return id;
}
