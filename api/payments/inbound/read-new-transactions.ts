import { inArray, sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { inboundTransfers, refundAttempts } from "../../db/tables.ts";
import { ChainError, type ChainTransaction, type SignatureInfo, TWO_NODES } from "../../ports/chain.ts";
import { processTransaction } from "./process-transaction.ts";
import { type TreasuryAccount, verifyTransaction } from "./verify-transaction.ts";

const FETCHED_AT_ONCE = 8;
const LOOKED_UP_AT_ONCE = 1_000;

export interface ReadTransactions {
  /** The entries that were dealt with, from the first on. */
  readonly covered: readonly SignatureInfo[];
  /** Those of them whose transaction could not be read this time. */
  readonly unread: readonly SignatureInfo[];
}

/**
 * Reads the listed transactions that we don't know yet, in their order, and writes down what they did.
 * Null from the nodes means "ask again", never "there is no such payment"; and about more than what may count at
 * `confirmed` two nodes have to say the same.
 *
 * @param readMax so many transactions are read at most; what comes after them is not covered
 */
export async function readNewTransactions(
  ctx: Context,
  treasury: TreasuryAccount,
  entries: readonly SignatureInfo[],
  readMax: number,
): Promise<ReadTransactions> {
  const known = await knownSignatures(ctx, entries);
  const unknown = entries.filter((entry) => !entry.failed && !known.has(entry.signature));
  const next = unknown[readMax];
  const covered = next === undefined ? entries : entries.slice(0, entries.indexOf(next));
  const unread: SignatureInfo[] = [];
  for (let start = 0; start < Math.min(readMax, unknown.length); start += FETCHED_AT_ONCE) {
    ctx.signal.throwIfAborted();
    const batch = unknown.slice(start, Math.min(readMax, start + FETCHED_AT_ONCE));
    const fetched = await Promise.all(batch.map((entry) => fetchTransaction(ctx, treasury, entry.signature)));
    for (const [index, entry] of batch.entries()) {
      const transaction = fetched[index];
      if (transaction === null || transaction === undefined) unread.push(entry);
      else await processTransaction(ctx, treasury, transaction, "confirmed");
    }
  }
  return { covered, unread };
}

async function fetchTransaction(
  ctx: Context,
  treasury: TreasuryAccount,
  signature: string,
): Promise<ChainTransaction | null> {
  try {
    const transaction = await ctx.chain.transaction(signature, "confirmed");
    if (transaction === null || amountOf(transaction, treasury) <= ctx.settings.confirmedLimitMicroUsdc)
      return transaction;
    return await ctx.chain.transaction(signature, "confirmed", TWO_NODES);
  } catch (error) {
    if (!(error instanceof ChainError)) throw error;
    ctx.metrics.count("volley_chain_unread_transactions_total");
    ctx.logger.warn("a transaction could not be read and will be tried again", { signature, error });
    return null;
  }
}

function amountOf(transaction: ChainTransaction, treasury: TreasuryAccount): bigint {
  const { transfers } = verifyTransaction(transaction, treasury);
  return transfers.reduce((sum, { amountMicroUsdc }) => sum + amountMicroUsdc, 0n);
}

/** Those whose transfers are in our books (unless they were dropped: they may land again), and those that we sent. */
async function knownSignatures(ctx: Context, entries: readonly SignatureInfo[]): Promise<Set<string>> {
  const known = new Set<string>();
  for (let start = 0; start < entries.length; start += LOOKED_UP_AT_ONCE) {
    const signatures = entries.slice(start, start + LOOKED_UP_AT_ONCE).map((entry) => entry.signature);
    const inbound = await ctx.db
      .select({ signature: inboundTransfers.signature })
      .from(inboundTransfers)
      .where(inArray(inboundTransfers.signature, signatures))
      .groupBy(inboundTransfers.signature)
      .having(sql`bool_and(${inboundTransfers.finality} <> 'dropped')`);
    const sent = await ctx.db
      .select({ signature: refundAttempts.signature })
      .from(refundAttempts)
      .where(inArray(refundAttempts.signature, signatures));
    for (const { signature } of [...inbound, ...sent]) known.add(signature);
  }
  return known;
}
