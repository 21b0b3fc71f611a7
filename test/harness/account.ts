/** Somebody with a wallet who signs in through the verbs, as the faces would call them. */
import { createSignableMessage, generateKeyPairSigner, getBase58Decoder, type KeyPairSigner } from "@solana/kit";
import type { Account, Challenge } from "@volley/schema";
import type { Context, Services } from "../../api/context.ts";
import { createChallenge } from "../../api/identity/create-challenge.ts";
import { createSession } from "../../api/identity/create-session.ts";
import { bearer, contextAs } from "./services.ts";

export interface SignedIn {
  readonly wallet: KeyPairSigner;
  readonly account: Account;
  readonly token: string;
  /** The context of a request with the session's token. */
  as(parts?: Partial<Context>): Context;
}

/** Base58. */
export async function signatureOver(wallet: KeyPairSigner, message: string): Promise<string> {
  const [signed] = await wallet.signMessages([createSignableMessage(message)]);
  const signature = signed?.[wallet.address];
  if (signature === undefined) throw new Error("the wallet did not sign");
  return getBase58Decoder().decode(signature);
}

export const anonymous = (services: Services): Context => contextAs(services, { kind: "anonymous" });

export async function signedChallenge(
  services: Services,
  wallet: KeyPairSigner,
  purpose: Challenge["purpose"] = "sign_in",
): Promise<{ nonce: string; signature: string }> {
  const { nonce, message } = await createChallenge(anonymous(services), { address: wallet.address, purpose });
  return { nonce, signature: await signatureOver(wallet, message) };
}

export async function signIn(services: Services, given?: KeyPairSigner): Promise<SignedIn> {
  const wallet = given ?? (await generateKeyPairSigner());
  const session = await createSession(anonymous(services), await signedChallenge(services, wallet));
  return {
    wallet,
    account: session.account,
    token: session.token,
    as: (parts = {}) => bearer(services, session.token, parts),
  };
}
