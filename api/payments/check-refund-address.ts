import { address, isAddress, isOffCurveAddress } from "@solana/kit";
import { SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { TOKEN_2022_PROGRAM_ADDRESS } from "@solana-program/token-2022";
import { VolleyError } from "@volley/schema/errors";
import type { Context } from "../context.ts";
import { ChainError } from "../ports/chain.ts";

/**
 * USDC sent to a wrong kind of address is lost for good, so only wallets pass: accounts of the system program, or
 * addresses that somebody can have the key of.
 * @throws {VolleyError} `address_invalid`; `unavailable` when the chain can't be asked
 */
export async function checkRefundAddress(ctx: Pick<Context, "chain" | "settings">, text: string): Promise<void> {
  if (!isAddress(text)) throw invalid("It is not an address: 32 bytes in base58.");
  if (text === ctx.settings.treasuryAddress || text === ctx.settings.usdcMint) {
    throw invalid("It is an address of ours, not of a wallet of yours.");
  }
  const owner = await ownerOf(ctx, text);
  if (owner === SYSTEM_PROGRAM_ADDRESS) return;
  if (owner === TOKEN_PROGRAM_ADDRESS || owner === TOKEN_2022_PROGRAM_ADDRESS) {
    throw invalid("It is a token account or a mint. Give the wallet that owns the token account.");
  }
  if (owner !== null) throw invalid(`It belongs to the program ${owner}, so it is no wallet.`);
  if (isOffCurveAddress(address(text))) {
    throw invalid("Nothing is at this address, and no key can exist for it.");
  }
}

const invalid = (why: string) =>
  new VolleyError("address_invalid", `The address can't receive USDC. ${why}`, {
    nextAction: "Give the address of a Solana wallet that you control.",
  });

async function ownerOf(ctx: Pick<Context, "chain">, at: string): Promise<string | null> {
  try {
    return await ctx.chain.accountOwner(at);
  } catch (cause) {
    if (!(cause instanceof ChainError)) throw cause;
    throw new VolleyError("unavailable", "The address could not be checked: the Solana node doesn't answer.", {
      nextAction: "Try again in a few seconds, or leave the refund address out and name it when you want your money.",
      retryAfterSeconds: 5,
      cause,
    });
  }
}
