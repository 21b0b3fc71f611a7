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

/** Our token account against the ledger, with what is in flight taken into account by name. */
export async function compareBalance(
  ctx: BooksAndChain,
  commitment: "confirmed" | "finalized",
): Promise<BalanceComparison> {
  const { tokenAccount } = await treasuryAccount(ctx.settings);
  const ledgerMicroUsdc = -(await balanceOf(ctx.db, CHAIN_ACCOUNT)).postedMicroUsdc;
  const notYetOnChainMicroUsdc = await sumNotOnChain(ctx, commitment);
  const refundsLandedMicroUsdc = await sumLandedRefunds(ctx, commitment);
  const chainMicroUsdc = (await ctx.chain.tokenBalance(tokenAccount, commitment, TWO_NODES)) ?? 0n;
  return {
    chainMicroUsdc,
    ledgerMicroUsdc,
    notYetOnChainMicroUsdc,
    refundsLandedMicroUsdc,
    differenceMicroUsdc: chainMicroUsdc - (ledgerMicroUsdc - notYetOnChainMicroUsdc - refundsLandedMicroUsdc),
  };
}

async function sumNotOnChain(ctx: BooksAndChain, commitment: "confirmed" | "finalized"): Promise<bigint> {
  const open = await ctx.db.select().from(inboundTransfers).where(eq(inboundTransfers.finality, "confirmed"));
  let sum = 0n;
  for (const [signature, rows] of Map.groupBy(open, (row) => row.signature)) {
    if ((await ctx.chain.transaction(signature, commitment)) !== null) continue;
    for (const { amountMicroUsdc } of rows) sum += amountMicroUsdc;
  }
  return sum;
}

async function sumLandedRefunds(ctx: BooksAndChain, commitment: "confirmed" | "finalized"): Promise<bigint> {
  const open = await ctx.db
    .select({ signature: refundAttempts.signature, amount: refunds.amountMicroUsdc })
    .from(refundAttempts)
    .innerJoin(refunds, eq(refunds.id, refundAttempts.refundId))
    .where(and(isNull(refundAttempts.deadAt), ne(refunds.status, "finalized")));
  let sum = 0n;
  for (const { signature, amount } of open) {
    const transaction = await ctx.chain.transaction(signature, commitment);
    if (transaction !== null && !transaction.failed) sum += amount;
  }
  return sum;
}
