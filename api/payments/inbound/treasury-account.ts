import { address } from "@solana/kit";
import { findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import type { Settings } from "../../settings.ts";
import type { TreasuryAccount } from "./verify-transaction.ts";

/** Where payments arrive: the treasury's associated token account for our mint, of the classic Token program. */
export async function treasuryAccount(
  settings: Pick<Settings, "treasuryAddress" | "usdcMint">,
): Promise<TreasuryAccount> {
  const { treasuryAddress: owner, usdcMint: mint } = settings;
  const [tokenAccount] = await findAssociatedTokenPda({
    owner: address(owner),
    mint: address(mint),
    tokenProgram: TOKEN_PROGRAM_ADDRESS,
  });
  return { owner, mint, tokenAccount };
}
