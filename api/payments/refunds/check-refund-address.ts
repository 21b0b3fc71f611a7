import { address, isAddress, isOffCurveAddress } from "@solana/kit";
import { SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import { findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { TOKEN_2022_PROGRAM_ADDRESS } from "@solana-program/token-2022";
import { VolleyError } from "@volley/schema/errors";
import { type Chain, ChainError, type Reading } from "../../ports/chain.ts";
import type { Settings } from "../../settings.ts";

/** What an address is asked of. */
interface Asked {
  readonly chain: Chain;
  readonly settings: Pick<Settings, "treasuryAddress" | "usdcMint">;
}

/**
 * USDC sent to a wrong kind of address is lost for good, so only wallets pass: accounts of the system program, or
 * addresses that somebody can have the key of. The wallet must have a USDC account already: if we opened one at our
 * cost, whoever closed it again would keep the rent, and the same money could go round until the treasury had no SOL.
 * @param reading how many nodes have to say the same of it
 * @throws {VolleyError} `address_invalid`; `unavailable` when the chain can't be asked
 */
export async function checkRefundAddress(ctx: Asked, text: string, reading?: Reading): Promise<void> {
  if (!isAddress(text)) throw invalid("It is not an address: 32 bytes in base58.");
  if (text === ctx.settings.treasuryAddress || text === ctx.settings.usdcMint) {
    throw invalid("It is an address of ours, not of a wallet of yours.");
  }
  const owner = await ask(ctx, (chain) => chain.accountOwner(text, reading));
  if (owner === TOKEN_PROGRAM_ADDRESS || owner === TOKEN_2022_PROGRAM_ADDRESS) {
    throw invalid("It is a token account or a mint. Give the wallet that owns the token account.");
  }
  if (owner !== null && owner !== SYSTEM_PROGRAM_ADDRESS)
    throw invalid(`It belongs to the program ${owner}, so it is no wallet.`);
  if (owner === null && isOffCurveAddress(address(text))) {
    throw invalid("Nothing is at this address, and no key can exist for it.");
  }
  const [usdcAccount] = await findAssociatedTokenPda({
    owner: address(text),
    mint: address(ctx.settings.usdcMint),
    tokenProgram: TOKEN_PROGRAM_ADDRESS,
  });
  const account = await ask(ctx, (chain) => chain.tokenAccount(usdcAccount, reading));
  if (account === null) {
    throw invalid(
      "The wallet has no USDC account yet; receiving any USDC, or adding the token in the wallet, opens one.",
    );
  }
  // The address stays when the account is signed over, as those are who fall for a thief's transaction.
  if (account.owner !== text) throw invalid(`Its USDC account belongs to ${account.owner} now.`);
  if (account.isFrozen) throw invalid("The issuer of USDC has frozen its USDC account.");
}

const invalid = (why: string) =>
  new VolleyError("address_invalid", `The address can't receive USDC. ${why}`, {
    nextAction: "Give the address of a Solana wallet that you control and that holds, or has held, USDC.",
  });

async function ask<Answer>(ctx: Asked, question: (chain: Chain) => Promise<Answer>): Promise<Answer> {
  try {
    return await question(ctx.chain);
  } catch (cause) {
    if (!(cause instanceof ChainError)) throw cause;
    throw new VolleyError("unavailable", "The address could not be checked: the Solana node doesn't answer.", {
      nextAction: "Try again in a few seconds, or leave the refund address out and name it when you want your money.",
      retryAfterSeconds: 5,
      cause,
    });
  }
}
