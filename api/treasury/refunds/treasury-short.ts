import { treasuryAccount } from "../../payments/inbound/treasury-account.ts";
import { type Reading, TWO_NODES } from "../../ports/chain.ts";
import type { TreasuryContext } from "../treasury-context.ts";

/**
 * The fee of one signature, and what a wallet without data has to keep so that the chain lets it live: 128 bytes of
 * overhead at 6,960 lamports each (Solana's default rent, two years of 3,480 a byte).
 */
const LAMPORTS_NEEDED = 5_000n + 128n * 6_960n;

/**
 * Why the treasury's wallet can't pay so much now, in a sentence; null when it can. Bytes that are bound to fail would
 * be signed anew every minute or two, and each time counts against the limits of the day.
 */
export async function treasuryShort(ctx: TreasuryContext, microUsdc: bigint): Promise<string | null> {
  const first = await shortage(ctx, microUsdc);
  // One node's word must not hold the money up.
  return first === null ? null : await shortage(ctx, microUsdc, TWO_NODES);
}

async function shortage({ chain, settings }: TreasuryContext, microUsdc: bigint, reading?: Reading) {
  const { owner, tokenAccount } = await treasuryAccount(settings);
  const held = (await chain.tokenBalance(tokenAccount, "confirmed", reading)) ?? 0n;
  if (held < microUsdc) return "The treasury's wallet holds less USDC at the moment.";
  if ((await chain.lamports(owner, reading)) < LAMPORTS_NEEDED) return "The treasury's wallet has no SOL for the fee.";
  return null;
}
