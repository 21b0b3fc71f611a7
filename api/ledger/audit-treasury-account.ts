import type { Context } from "../context.ts";
import { treasuryAccount } from "../payments/inbound/treasury-account.ts";
import { TWO_NODES } from "../ports/chain.ts";

/** Why our token account can't take or give money, in a sentence; null when it can. */
export async function auditTreasuryAccount(ctx: Pick<Context, "chain" | "settings">): Promise<string | null> {
  const { tokenAccount, owner } = await treasuryAccount(ctx.settings);
  const state = await ctx.chain.tokenAccount(tokenAccount, TWO_NODES);
  if (state === null) {
    return `the treasury's USDC account ${tokenAccount} doesn't exist: payments fail until its wallet opens it again`;
  }
  if (state.isFrozen) {
    return `the issuer of USDC has frozen the treasury's account ${tokenAccount}: payments and refunds fail`;
  }
  return state.owner === owner ? null : `the treasury's USDC account ${tokenAccount} belongs to ${state.owner} now`;
}
