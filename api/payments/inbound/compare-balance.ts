import { and, eq, isNull, ne } from "drizzle-orm";
import type { Services } from "../../context.ts";
import { inboundTransfers, refundAttempts, refunds } from "../../db/tables.ts";
import { CHAIN_ACCOUNT } from "../../ledger/accounts.ts";
import { balanceOf } from "../../ledger/balance-of.ts";
import { TWO_NODES } from "../../ports/chain.ts";
import type { Settings } from "../../settings.ts";
import { treasuryAccount } from "./treasury-account.ts";

export interface BooksAndChain extends Pick<Services, "db" | "chain"> {
  readonly settings: Pick<Settings, "treasuryAddress" | "usdcMint">;
}

export interface BalanceComparison {
  /** What our token account holds. */
  readonly chainMicroUsdc: bigint;
  /** What the ledger says that it holds. */
  readonly ledgerMicroUsdc: bigint;
  /** In the ledger, and not yet on chain at this commitment. */
  readonly notYetOnChainMicroUsdc: bigint;
  /** Refunds that are on chain at this commitment, and not yet in the ledger. */
  readonly refundsLandedMicroUsdc: bigint;
  /** What none of that explains: positive when money on chain is missing in the ledger. */
  readonly differenceMicroUsdc: bigint;
}

type Commitment = "confirmed" | "finalized";

/**
 * Our token account against the ledger, with what is in flight taken into account by name. Books and chain are read in
 * one breath, and whatever takes longer is asked as of then: else every payment that becomes final meanwhile would be a
 * difference, and money always comes.
 */
export async function compareBalance(ctx: BooksAndChain, commitment: Commitment): Promise<BalanceComparison> {
  const { tokenAccount } = await treasuryAccount(ctx.settings);
  const { ledgerMicroUsdc, inbound, attempts } = await readBooks(ctx);
  const slot = await ctx.chain.slot(commitment, TWO_NODES);
  const chainMicroUsdc = (await ctx.chain.tokenBalance(tokenAccount, commitment, TWO_NODES)) ?? 0n;
  const hasLanded = async (signature: string) => {
    const transaction = await ctx.chain.transaction(signature, commitment);
    return transaction !== null && transaction.slot <= slot && !transaction.failed;
  };
  let notYetOnChainMicroUsdc = 0n;
  for (const [signature, rows] of Map.groupBy(inbound, (row) => row.signature)) {
    if (await hasLanded(signature)) continue;
    for (const { amountMicroUsdc } of rows) notYetOnChainMicroUsdc += amountMicroUsdc;
  }
  let refundsLandedMicroUsdc = 0n;
  for (const { signature, amount } of attempts) if (await hasLanded(signature)) refundsLandedMicroUsdc += amount;
  return {
    chainMicroUsdc,
    ledgerMicroUsdc,
    notYetOnChainMicroUsdc,
    refundsLandedMicroUsdc,
    differenceMicroUsdc: chainMicroUsdc - (ledgerMicroUsdc - notYetOnChainMicroUsdc - refundsLandedMicroUsdc),
  };
}

/** In one snapshot, so that what is written down meanwhile is in all of it or in none. */
async function readBooks(ctx: BooksAndChain) {
  return await ctx.db.transaction(
    async (tx) => ({
      ledgerMicroUsdc: -(await balanceOf(tx, CHAIN_ACCOUNT)).postedMicroUsdc,
      inbound: await tx.select().from(inboundTransfers).where(eq(inboundTransfers.finality, "confirmed")),
      attempts: await tx
        .select({ signature: refundAttempts.signature, amount: refunds.amountMicroUsdc })
        .from(refundAttempts)
        .innerJoin(refunds, eq(refunds.id, refundAttempts.refundId))
        .where(and(isNull(refundAttempts.deadAt), ne(refunds.status, "finalized"))),
    }),
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}
