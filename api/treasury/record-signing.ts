import { formatUsdc } from "@volley/schema/money";
import { sql } from "drizzle-orm";
import { rows, type Transaction } from "../db/database.ts";
import { treasurySignings } from "../db/tables.ts";
import type { TreasuryContext } from "./treasury-context.ts";

export interface Signing {
  /** The transaction's first signature. */
  readonly signature: string;
  readonly purpose: (typeof treasurySignings.$inferInsert)["purpose"];
  /** Of the refund, the sponsored transaction, or the day that is anchored. */
  readonly reference: string;
  /** USDC of ours that it moves. */
  readonly microUsdc: bigint;
  /** Fee, and whatever else it takes from our wallet. */
  readonly lamports: bigint;
}

const DAY_MS = 86_400_000;

/** Why so much is not even signed, in a sentence; null when it may be. */
export function overTransactionLimit({ settings }: TreasuryContext, microUsdc: bigint): string | null {
  const { transactionMaxMicroUsdc: maximum } = settings.limits;
  return microUsdc > maximum
    ? `It is above ${formatUsdc(maximum)} USDC, the treasury's limit of one transaction.`
    : null;
}

/**
 * Counts what was signed against the limits, in the transaction that stores the bytes: they may leave this process only
 * after that. One treasury at a time counts, so that two at once can't both take the day's rest. What was signed counts
 * whether or not it lands. The caller has locked every other row that it needs.
 * @returns why the bytes must be thrown away, in a sentence; null when they are counted
 */
export async function recordSigning(ctx: TreasuryContext, tx: Transaction, signing: Signing): Promise<string | null> {
  const { limits } = ctx.settings;
  const over = overTransactionLimit(ctx, signing.microUsdc);
  if (over !== null) return over;
  if (signing.lamports > limits.transactionMaxLamports) {
    return `It costs more than ${limits.transactionMaxLamports} lamports, the treasury's limit of one transaction.`;
  }
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtext('treasury_signings'))`);
  const nowMs = ctx.clock.nowMs();
  const [today] = await rows<{ micro_usdc: string; lamports: string }>(
    tx,
    // The sponsor's wallet is another one, and strangers decide what it spends: that must not hold up what leaves.
    sql`SELECT coalesce(sum(micro_usdc), 0)::text AS micro_usdc,
               coalesce(sum(lamports) FILTER (
                 WHERE (purpose = 'sponsor') = ${signing.purpose === "sponsor"}::boolean), 0)::text AS lamports
        FROM treasury_signings WHERE created_at >= ${nowMs - (nowMs % DAY_MS)}::bigint`,
  );
  if (BigInt(today?.micro_usdc ?? 0) + signing.microUsdc > limits.dayMaxMicroUsdc) {
    return `With it the treasury would sign more than ${formatUsdc(limits.dayMaxMicroUsdc)} USDC today, its limit of one day (UTC).`;
  }
  if (BigInt(today?.lamports ?? 0) + signing.lamports > limits.dayMaxLamports) {
    return `With it the treasury would spend more than ${limits.dayMaxLamports} lamports today, the limit of one wallet and day (UTC).`;
  }
  await tx.insert(treasurySignings).values({ ...signing, createdAt: nowMs });
  return null;
}
