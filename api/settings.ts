/** Every setting in one validated object. An error names the variable and the fix. */
import { parseUsdc } from "@volley/schema/money";
import { z } from "zod";
import type { SanctionsList } from "./adapters/local-screening.ts";

export const usdc = z.string().transform((text, context) => {
  try {
    return parseUsdc(text);
  } catch (error) {
    context.issues.push({
      code: "custom",
      input: text,
      message: error instanceof Error ? error.message : "bad amount",
    });
    return z.NEVER;
  }
});
export const whole = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};
const url = (example: string) => z.url({ protocol: /^https?$/, error: `must be a URL such as ${example}` });
/** 32 bytes or more in base64url: `openssl rand -base64 32 | tr '+/' '-_'`. */
const secretKey = z.string().regex(/^[A-Za-z0-9_=-]{43,}$/, "must be at least 32 random bytes in base64url");
export const address = z.string().regex(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/, "must be a Solana address in base58");
export const rpcUrls = z
  .string()
  .transform((text) => text.split(",").map((url) => url.trim()))
  .pipe(z.array(url("https://api.mainnet-beta.solana.com")).min(1).max(9))
  .describe("JSON-RPC of independent nodes of the Solana cluster, comma separated.");
export const chainPollMs = whole(50, 60_000).default(500);
/** An Ed25519 seed of 32 bytes in base64url, or only the public key of one that has been retired. */
const receiptKey = z
  .string()
  .regex(/^(public:)?[A-Za-z0-9_-]{43}=?$/, "must be 32 random bytes in base64url, or public: and a public key");

export const solanaNetwork = z
  .enum(["mainnet", "devnet", "testnet", "localnet"])
  .default("mainnet")
  .describe("Which cluster the nodes belong to; wallets show it when they sign in.");
export const sanctionsList = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      context.addIssue({ code: "custom", message: "must be JSON" });
      return z.NEVER;
    }
  })
  .pipe(z.strictObject({ date: z.iso.date(), addresses: z.array(address).max(100_000) }));

const settingsSchema = z.object({
  PUBLIC_URL: url("https://api.example.com").default("http://127.0.0.1:8787").describe("Where clients reach the API."),
  QUOTE_KEYS: z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(secretKey).min(1).max(5))
    .describe("Keys of quote tokens, comma separated: the first signs, all verify."),
  SECRET_KEY: secretKey.describe("Derives the capability secrets of clusters."),
  PLATFORM_FEE_BPS: whole(0, 10_000).default(500).describe("Platform fee on compute, in hundredths of a percent."),
  QUOTE_LIFETIME_SECONDS: whole(30, 3600).default(600),
  PAYMENT_LIFETIME_SECONDS: whole(10, 86_400).default(600).describe("How long unpaid machines are held."),
  HOLDS_PER_CALLER_MAX: whole(1, 1_000_000).default(20),
  HELD_GPUS_PER_CALLER_PERCENT: whole(1, 100).default(20).describe("Of a model's GPUs, unpaid, by one caller."),
  HELD_GPUS_PERCENT: whole(1, 100).default(50).describe("Of a model's GPUs, unpaid, by all callers together."),
  PROVISIONING_TIMEOUT_SECONDS: whole(5, 7200).default(600).describe("A gang that isn't ready by then has failed."),
  NODE_SILENCE_SECONDS: whole(5, 3600).default(45).describe("A node that is silent for longer is offline."),
  HEARTBEAT_INTERVAL_SECONDS: whole(1, 300).default(5),
  SOLANA_RPC_URL: rpcUrls,
  SOLANA_NETWORK: solanaNetwork,
  USDC_MINT: address,
  TREASURY_ADDRESS: address.describe("Wallet that payments go to."),
  SPONSORED_FEES_PER_PAYMENT: whole(0, 10)
    .default(0)
    .describe("For how many transaction requests of one payment the sponsor pays, where the wallet has no SOL."),
  SPONSOR_ADDRESS: address
    .optional()
    .describe("Wallet that pays the fees of x402 payments; without it there are none."),
  CONFIRMED_LIMIT_USDC: usdc
    .default(100_000_000n)
    .describe("Payments up to this count at `confirmed`; above, at `finalized`."),
  TOPUP_MIN_USDC: usdc.default(1_000_000n).describe("The least that a top-up asks for."),
  TOPUP_MAX_USDC: usdc.default(100_000_000_000n).describe("The most that a top-up asks for."),
  REFUND_DELAY_SECONDS: whole(0, 31_536_000)
    .default(86_400)
    .describe("How long a refund to an address that nobody has proved waits, so that it can be cancelled."),
  PAYOUT_MIN_USDC: usdc.default(10_000_000n).describe("Suppliers get their earnings once they have so much."),
  PAYOUT_MAX_USDC: usdc
    .default(10_000_000_000n)
    .describe("The most that one payout moves; not above what the treasury signs at once."),
  PAYOUT_INTERVAL_SECONDS: whole(1, 31_536_000).default(86_400).describe("How often suppliers are paid."),
  SESSION_LIFETIME_SECONDS: whole(60, 31_536_000).default(604_800).describe("How long a sign-in lasts."),
  STRIPE_SECRET_KEY: z
    .string()
    .regex(/^(sk|rk)_[A-Za-z0-9_]+$/, "must be a secret or restricted key of Stripe")
    .optional()
    .describe("Lets accounts be topped up by card; without it nobody can."),
  STRIPE_WEBHOOK_SECRETS: z
    .string()
    .transform((text) => text.split(",").map((secret) => secret.trim()))
    .pipe(z.array(z.string().regex(/^whsec_[A-Za-z0-9+/=_-]+$/, "must be signing secrets of webhook endpoints")).max(5))
    .default([])
    .describe("Signing secrets of the webhook endpoint, comma separated: all verify."),
  STRIPE_API_URL: url("https://api.stripe.com").default("https://api.stripe.com"),
  CARD_HOLD_SECONDS: whole(0, 31_536_000).default(604_800).describe("How long money paid by card can't be spent."),
  CARD_MAX_USDC: usdc
    .default(500_000_000n)
    .describe("The most that one account can have in card payments that are open or can't be spent yet."),
  SANCTIONS_LIST: sanctionsList.optional().describe("Addresses that nobody may deal with, and the list's date."),
  CHAIN_POLL_MS: chainPollMs,
  RECEIPT_KEYS: z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(receiptKey).min(1).max(9))
    .optional()
    .describe("Ed25519 keys of receipts, comma separated: the first signs, all are published."),
  AUDIT_INTERVAL_SECONDS: whole(1, 86_400).default(60).describe("How often chain and ledger are compared."),
  BODY_BYTES_MAX: whole(1024, 16_777_216).default(262_144),
  RATE_LIMIT_PER_MINUTE: whole(1, 100_000_000).default(6000).describe("Requests per caller and class."),
  MARKET_REFRESH_MS: whole(20, 60_000).default(500),
  METRICS_TOKEN: z
    .string()
    .regex(/^[A-Za-z0-9._~+/=-]{32,}$/, "must be at least 32 characters that fit a bearer token")
    .optional()
    .describe("Opens /metrics, which is not there without it."),
});

export interface Settings {
  readonly publicUrl: string;
  readonly quoteKeys: readonly string[];
  readonly secretKey: string;
  readonly platformFeeBps: number;
  readonly quoteLifetimeSeconds: number;
  readonly paymentLifetimeSeconds: number;
  readonly holdsPerCallerMax: number;
  readonly heldGpusPerCallerPercent: number;
  readonly heldGpusPercent: number;
  readonly provisioningTimeoutSeconds: number;
  readonly nodeSilenceSeconds: number;
  readonly heartbeatIntervalSeconds: number;
  readonly solanaRpcUrls: readonly string[];
  readonly solanaNetwork: "mainnet" | "devnet" | "testnet" | "localnet";
  readonly usdcMint: string;
  readonly topupMinMicroUsdc: bigint;
  readonly topupMaxMicroUsdc: bigint;
  readonly refundDelaySeconds: number;
  readonly payoutMinMicroUsdc: bigint;
  readonly payoutMaxMicroUsdc: bigint;
  readonly payoutIntervalSeconds: number;
  readonly sessionLifetimeSeconds: number;
  readonly treasuryAddress: string;
  /** Null where nobody pays the fees of x402 payments. */
  readonly sponsorAddress: string | null;
  readonly sponsoredFeesPerPayment: number;
  readonly confirmedLimitMicroUsdc: bigint;
  /** Empty: no receipts. */
  readonly receiptKeys: readonly string[];
  readonly auditIntervalSeconds: number;
  /** Null: no cards. */
  readonly stripeSecretKey: string | null;
  readonly stripeWebhookSecrets: readonly string[];
  readonly stripeApiUrl: string;
  readonly cardHoldSeconds: number;
  readonly cardMaxMicroUsdc: bigint;
  /** Null: addresses are not screened. */
  readonly sanctionsList: SanctionsList | null;
  readonly chainPollMs: number;
  readonly bodyBytesMax: number;
  readonly rateLimitPerMinute: number;
  readonly marketRefreshMs: number;
  /** Null where `/metrics` is not served. */
  readonly metricsToken: string | null;
}

export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Names that other tools share with us. */
const UNPREFIXED = new Set(["SOLANA_RPC_URL", "SOLANA_NETWORK", "USDC_MINT"]);

/**
 * Reads settings from environment variables, named as in the schema with the prefix `VOLLEY_`.
 * @throws {SettingsError} which names every variable that is missing or wrong
 */
export function parseSettings<Schema extends z.ZodObject>(schema: Schema, environment: Environment): z.output<Schema> {
  const variableOf = (name: string) => (UNPREFIXED.has(name) ? name : `VOLLEY_${name}`);
  const values = Object.fromEntries(
    Object.keys(schema.shape)
      .map((name) => [name, environment[variableOf(name)]] as const)
      .filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const variable = variableOf(String(issue.path[0]));
    const missing = environment[variable] === undefined || environment[variable] === "";
    return `${variable}: ${missing ? "is not set" : issue.message}`;
  });
  throw new SettingsError(
    `The configuration is not complete, or not right.\n${lines.join("\n")}\nSee docs/configuration.md.`,
  );
}

export function readSettings(environment: Environment): Settings {
  const s = parseSettings(settingsSchema, environment);
  return {
    publicUrl: s.PUBLIC_URL,
    quoteKeys: s.QUOTE_KEYS,
    secretKey: s.SECRET_KEY,
    platformFeeBps: s.PLATFORM_FEE_BPS,
    quoteLifetimeSeconds: s.QUOTE_LIFETIME_SECONDS,
    paymentLifetimeSeconds: s.PAYMENT_LIFETIME_SECONDS,
    holdsPerCallerMax: s.HOLDS_PER_CALLER_MAX,
    heldGpusPerCallerPercent: s.HELD_GPUS_PER_CALLER_PERCENT,
    heldGpusPercent: s.HELD_GPUS_PERCENT,
    provisioningTimeoutSeconds: s.PROVISIONING_TIMEOUT_SECONDS,
    nodeSilenceSeconds: s.NODE_SILENCE_SECONDS,
    heartbeatIntervalSeconds: s.HEARTBEAT_INTERVAL_SECONDS,
    solanaRpcUrls: s.SOLANA_RPC_URL,
    solanaNetwork: s.SOLANA_NETWORK,
    usdcMint: s.USDC_MINT,
    topupMinMicroUsdc: s.TOPUP_MIN_USDC,
    topupMaxMicroUsdc: s.TOPUP_MAX_USDC,
    refundDelaySeconds: s.REFUND_DELAY_SECONDS,
    payoutMinMicroUsdc: s.PAYOUT_MIN_USDC,
    payoutMaxMicroUsdc: s.PAYOUT_MAX_USDC,
    payoutIntervalSeconds: s.PAYOUT_INTERVAL_SECONDS,
    sessionLifetimeSeconds: s.SESSION_LIFETIME_SECONDS,
    treasuryAddress: s.TREASURY_ADDRESS,
    sponsorAddress: s.SPONSOR_ADDRESS ?? null,
    sponsoredFeesPerPayment: s.SPONSORED_FEES_PER_PAYMENT,
    confirmedLimitMicroUsdc: s.CONFIRMED_LIMIT_USDC,
    receiptKeys: s.RECEIPT_KEYS ?? [],
    auditIntervalSeconds: s.AUDIT_INTERVAL_SECONDS,
    stripeSecretKey: s.STRIPE_SECRET_KEY ?? null,
    stripeWebhookSecrets: s.STRIPE_WEBHOOK_SECRETS,
    stripeApiUrl: s.STRIPE_API_URL,
    cardHoldSeconds: s.CARD_HOLD_SECONDS,
    cardMaxMicroUsdc: s.CARD_MAX_USDC,
    sanctionsList: s.SANCTIONS_LIST ?? null,
    chainPollMs: s.CHAIN_POLL_MS,
    bodyBytesMax: s.BODY_BYTES_MAX,
    rateLimitPerMinute: s.RATE_LIMIT_PER_MINUTE,
    marketRefreshMs: s.MARKET_REFRESH_MS,
    metricsToken: s.METRICS_TOKEN ?? null,
  };
}
