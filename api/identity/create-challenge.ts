import { type InputOf, type Operations, type OutputOf, toTimestamp } from "@volley/schema";
import type { Context } from "../context.ts";
import { authChallenges } from "../db/tables.ts";
import { requireWalletAddress } from "./require-wallet-address.ts";
import { signInMessage } from "./sign-in-message.ts";

type Create = Operations["auth.challenge"];

/** Long enough for a person with a hardware wallet. */
const LIFETIME_MS = 300_000;
const NONCE_BYTES = 16;

const STATEMENTS = {
  sign_in: "Sign in to Volley. This costs nothing and moves no money.",
  refund_address: "Let Volley send refunds to this address. This costs nothing and moves no money.",
} as const;

/**
 * A message for a wallet to sign, good for one use within five minutes.
 * @throws {VolleyError} `address_invalid`
 */
export async function createChallenge(ctx: Context, input: InputOf<Create>): Promise<OutputOf<Create>> {
  const { address, purpose } = input;
  requireWalletAddress(ctx.settings, address, "/address");
  const { publicUrl, solanaNetwork } = ctx.settings;
  const nowMs = ctx.clock.nowMs();
  // Hexadecimal: the grammar takes letters and digits alone.
  const nonce = Buffer.from(ctx.random.bytes(NONCE_BYTES)).toString("hex");
  const expiresAt = nowMs + LIFETIME_MS;
  const message = signInMessage({
    domain: new URL(publicUrl).host,
    address,
    statement: STATEMENTS[purpose],
    uri: publicUrl,
    chainId: solanaNetwork,
    nonce,
    issuedAt: toTimestamp(nowMs),
    expirationTime: toTimestamp(expiresAt),
  });
  await ctx.db.insert(authChallenges).values({ nonce, address, purpose, message, expiresAt });
  return { object: "challenge", purpose, address, message, nonce, expires_at: toTimestamp(expiresAt) };
}
