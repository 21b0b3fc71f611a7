import { address, getBase58Encoder, getPublicKeyFromAddress, signatureBytes, verifySignature } from "@solana/kit";
import { VolleyError } from "@volley/schema/errors";
import { and, eq, gt, isNull } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Executor, Transaction } from "../db/database.ts";
import { authChallenges } from "../db/tables.ts";
import type { Clock } from "../ports/clock.ts";

export interface SignedChallenge {
  readonly nonce: string;
  /** Ed25519 over the challenge's message, base58. */
  readonly signature: string;
}

/**
 * Checks that the wallet has signed its challenge, without using it up: do that in the transaction that acts on it.
 * @returns the address that is proved
 * @throws {VolleyError} `challenge_invalid`, `signature_invalid`
 */
export async function checkChallenge(
  ctx: { readonly db: Executor; readonly clock: Clock },
  purpose: "sign_in" | "refund_address",
  signed: SignedChallenge,
): Promise<string> {
  const [challenge] = await ctx.db
    .select()
    .from(authChallenges)
    .where(
      and(
        eq(authChallenges.nonce, signed.nonce),
        eq(authChallenges.purpose, purpose),
        isNull(authChallenges.usedAt),
        gt(authChallenges.expiresAt, ctx.clock.nowMs()),
      ),
    );
  if (challenge === undefined) throw challengeInvalid();
  if (!(await isSignedBy(challenge.address, challenge.message, signed.signature))) {
    throw new VolleyError("signature_invalid", `The signature is not ${challenge.address}'s over this challenge.`, {
      nextAction: "Sign the bytes of `message` exactly as they came, with that wallet, and send the base58 signature.",
    });
  }
  return challenge.address;
}

/** @throws {VolleyError} `challenge_invalid` when somebody else was faster */
export async function useChallenge(ctx: Context, tx: Transaction, nonce: string): Promise<void> {
  const used = await tx
    .update(authChallenges)
    .set({ usedAt: ctx.clock.nowMs() })
    .where(and(eq(authChallenges.nonce, nonce), isNull(authChallenges.usedAt)))
    .returning({ nonce: authChallenges.nonce });
  if (used.length === 0) throw challengeInvalid();
}

async function isSignedBy(wallet: string, message: string, signature: string): Promise<boolean> {
  try {
    const bytes = signatureBytes(new Uint8Array(getBase58Encoder().encode(signature)));
    const key = await getPublicKeyFromAddress(address(wallet));
    return await verifySignature(key, bytes, new TextEncoder().encode(message));
  } catch {
    // No base58, or not 64 bytes: as wrong as any other signature.
    return false;
  }
}

function challengeInvalid(): VolleyError {
  return new VolleyError("challenge_invalid", "The challenge is unknown, was used before, or has expired.", {
    nextAction: "Ask for a new one with auth.challenge and sign that.",
  });
}
