/** Settings of the treasury's process: it knows no key of the API, and the API none of its. */
import { z } from "zod";
import { address, chainPollMs, parseSettings, rpcUrls, type Settings, usdc } from "../settings.ts";

const treasurySettingsSchema = z.object({
  SOLANA_RPC_URL: rpcUrls,
  USDC_MINT: address,
  TREASURY_KEYPAIR: z.string().min(1).describe("Key file, as solana-keygen writes it, that nobody else can read."),
  TREASURY_TRANSACTION_MAX_USDC: usdc.default(10_000_000_000n).describe("The most that one transaction may move."),
  CHAIN_POLL_MS: chainPollMs,
});

export interface TreasurySettings
  extends Pick<Settings, "solanaRpcUrls" | "usdcMint" | "treasuryAddress" | "chainPollMs"> {
  readonly transactionMaxMicroUsdc: bigint;
}

export interface TreasuryConfiguration {
  readonly keypairFile: string;
  /** The address is the key's own. */
  readonly settings: Omit<TreasurySettings, "treasuryAddress">;
}

export function readTreasuryConfiguration(
  environment: Readonly<Record<string, string | undefined>>,
): TreasuryConfiguration {
  const s = parseSettings(treasurySettingsSchema, environment);
  return {
    keypairFile: s.TREASURY_KEYPAIR,
    settings: {
      solanaRpcUrls: s.SOLANA_RPC_URL,
      usdcMint: s.USDC_MINT,
      chainPollMs: s.CHAIN_POLL_MS,
      transactionMaxMicroUsdc: s.TREASURY_TRANSACTION_MAX_USDC,
    },
  };
}
