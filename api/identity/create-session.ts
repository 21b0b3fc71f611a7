import { createHash } from "node:crypto";
import { type InputOf, type Operations, type OutputOf, toTimestamp } from "@volley/schema";
import { eq } from "drizzle-orm";
import { type Context, newId } from "../context.ts";
import { customers, sessions } from "../db/tables.ts";
import { requireAllowedAddress } from "./screen-address.ts";
import { toAccountResource } from "./to-account-resource.ts";
import { checkChallenge, useChallenge } from "./use-challenge.ts";

type Create = Operations["auth.session"];

const TOKEN_BYTES = 32;

/**
 * Signs in with a signed challenge; the account is made at the first time.
 * @throws {VolleyError} `challenge_invalid`, `signature_invalid`, `address_refused`
 */
export async function createSession(ctx: Context, input: InputOf<Create>): Promise<OutputOf<Create>> {
  const wallet = await checkChallenge(ctx, "sign_in", input);
  await requireAllowedAddress(ctx, ctx.db, { address: wallet, subject: "sign_in", reference: input.nonce });
  const nowMs = ctx.clock.nowMs();
  const token = `vly_ses_${Buffer.from(ctx.random.bytes(TOKEN_BYTES)).toString("base64url")}`;
  const tokenHash = createHash("sha256").update(token).digest("hex");
  const expiresAt = nowMs + ctx.settings.sessionLifetimeSeconds * 1000;
  const customer = await ctx.db.transaction(async (tx) => {
    await useChallenge(ctx, tx, input.nonce);
    await tx
      .insert(customers)
      .values({ id: newId(ctx, "account"), wallet, createdAt: nowMs })
      .onConflictDoNothing();
    const [found] = await tx.select().from(customers).where(eq(customers.wallet, wallet));
    if (found === undefined) throw new Error("the account's row was not written");
    await tx.insert(sessions).values({ tokenHash, customerId: found.id, createdAt: nowMs, expiresAt });
    return found;
  });
  return { object: "session", token, account: toAccountResource(customer), expires_at: toTimestamp(expiresAt) };
}
