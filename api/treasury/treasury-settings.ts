/** Settings of the treasury's process: it knows no key of the API, and the API none of its. */
import { z } from "zod";
import {
  address,
  chainPollMs,
  parseSettings,
  rpcUrls,
  type Settings,
  sanctionsList,
  usdc,
  whole,
} from "../settings.ts";

const treasurySettingsSchema = z.object({
  SOLANA_RPC_URL: rpcUrls,
  USDC_MINT: address,
  TREASURY_KEYPAIR: z.string().min(1).describe("Key file, as solana-keygen writes it, that nobody else can read."),
  TREASURY_SPONSOR_KEYPAIR: z.string().min(1).optional().describe("Key file of the wallet that pays others' fees."),
  SANCTIONS_LIST: sanctionsList.optional(),
  TREASURY_TRANSACTION_MAX_USDC: usdc.default(10_000_000_000n).describe("The most that one transaction may move."),
  TREASURY_DAY_MAX_USDC: usdc.default(50_000_000_000n).describe("The most that is signed away in a day (UTC)."),
  TREASURY_TRANSACTION_MAX_LAMPORTS: whole(0, 10_000_000_000)
    .default(100_000)
    .describe("The most that one transaction may cost."),
  TREASURY_DAY_MAX_LAMPORTS: whole(0, 1_000_000_000_000)
    .default(100_000_000)
    .describe("The most that is spent on transactions in a day (UTC)."),
  TREASURY_ANCHORS: z.enum(["on", "off"]).default("off").describe("Whether each day's receipts are anchored on chain."),
  CHAIN_POLL_MS: chainPollMs,
});

/** What is signed at most; days are UTC's. */
export interface TreasuryLimits {
  readonly transactionMaxMicroUsdc: bigint;
  readonly dayMaxMicroUsdc: bigint;
  readonly transactionMaxLamports: bigint;
  readonly dayMaxLamports: bigint;
}

export interface TreasurySettings
  extends Pick<Settings, "solanaRpcUrls" | "usdcMint" | "treasuryAddress" | "chainPollMs" | "sanctionsList"> {
  readonly limits: TreasuryLimits;
  readonly anchors: boolean;
}

export interface TreasuryConfiguration {
  readonly keypairFile: string;
  readonly sponsorKeypairFile: string | null;
  /** The address is the key's own. */
  readonly settings: Omit<TreasurySettings, "treasuryAddress">;
}

export function readTreasuryConfiguration(
  environment: Readonly<Record<string, string | undefined>>,
): TreasuryConfiguration {
  const s = parseSettings(treasurySettingsSchema, environment);
  return {
    keypairFile: s.TREASURY_KEYPAIR,
    sponsorKeypairFile: s.TREASURY_SPONSOR_KEYPAIR ?? null,
    settings: {
      solanaRpcUrls: s.SOLANA_RPC_URL,
      usdcMint: s.USDC_MINT,
      chainPollMs: s.CHAIN_POLL_MS,
      sanctionsList: s.SANCTIONS_LIST ?? null,
      anchors: s.TREASURY_ANCHORS === "on",
      limits: {
        transactionMaxMicroUsdc: s.TREASURY_TRANSACTION_MAX_USDC,
        dayMaxMicroUsdc: s.TREASURY_DAY_MAX_USDC,
        transactionMaxLamports: BigInt(s.TREASURY_TRANSACTION_MAX_LAMPORTS),
        dayMaxLamports: BigInt(s.TREASURY_DAY_MAX_LAMPORTS),
      },
    },
  };
}
