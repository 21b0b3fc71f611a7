/** Settings of the treasury's process: it knows no key of the API, and the API none of its. */
import { z } from "zod";
import {
  address,
  chainPollMs,
  parseSettings,
  rpcUrls,
  type Settings,
  SettingsError,
  sanctionsList,
  solanaNetwork,
  usdc,
  whole,
} from "../settings.ts";

const treasurySettingsSchema = z.object({
  SOLANA_RPC_URL: rpcUrls,
  USDC_MINT: address,
  TREASURY_KEYPAIR: z.string().min(1).describe("Key file, as solana-keygen writes it, that nobody else can read."),
  TREASURY_SPONSOR_KEYPAIR: z.string().min(1).optional().describe("Key file of the wallet that pays others' fees."),
  SANCTIONS_LIST: sanctionsList.optional(),
  SOLANA_NETWORK: solanaNetwork,
  SPONSOR_ADDRESS: address.optional(),
  TREASURY_FACILITATOR_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Pays the fees in the sponsor's place."),
  TREASURY_FACILITATOR_TOKEN: z.string().min(1).optional().describe("Bearer token that it asks for."),
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
  extends Pick<
    Settings,
    | "solanaRpcUrls"
    | "usdcMint"
    | "treasuryAddress"
    | "chainPollMs"
    | "sanctionsList"
    | "sponsorAddress"
    | "solanaNetwork"
  > {
  readonly limits: TreasuryLimits;
  readonly anchors: boolean;
}

export interface TreasuryConfiguration {
  readonly keypairFile: string;
  readonly sponsorKeypairFile: string | null;
  readonly facilitator: { readonly url: string; readonly token: string | null } | null;
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
    facilitator: facilitatorOf(s.TREASURY_FACILITATOR_URL, s),
    settings: {
      solanaRpcUrls: s.SOLANA_RPC_URL,
      usdcMint: s.USDC_MINT,
      chainPollMs: s.CHAIN_POLL_MS,
      sanctionsList: s.SANCTIONS_LIST ?? null,
      sponsorAddress: s.SPONSOR_ADDRESS ?? null,
      solanaNetwork: s.SOLANA_NETWORK,
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

type Parsed = z.output<typeof treasurySettingsSchema>;

function facilitatorOf(url: string | undefined, s: Parsed): TreasuryConfiguration["facilitator"] {
  if (url === undefined) return null;
  if (s.TREASURY_SPONSOR_KEYPAIR !== undefined) {
    throw new SettingsError(
      "VOLLEY_TREASURY_FACILITATOR_URL: takes the sponsor's place, so no sponsor's key goes with it",
    );
  }
  if (s.SPONSOR_ADDRESS === undefined) {
    throw new SettingsError("VOLLEY_SPONSOR_ADDRESS: has to name the facilitator's fee payer, as its /supported says");
  }
  return { url, token: s.TREASURY_FACILITATOR_TOKEN ?? null };
}
