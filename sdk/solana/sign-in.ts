/** Sign-In With Solana: a wallet signs the message that the API wrote, exactly as it is. */
import {
  createSignableMessage,
  getBase58Decoder,
  isMessageModifyingSigner,
  type MessageModifyingSigner,
  type MessagePartialSigner,
  type SignatureBytes,
} from "@solana/kit";
import type { Volley } from "../client.ts";
import { VolleyError } from "../errors.ts";
import type { AuthChallengeParams, Challenge, Session } from "../generated.ts";

/** A key pair, or a wallet that signs messages. */
export type ChallengeSigner = MessagePartialSigner | MessageModifyingSigner;

export interface SignChallengeOptions {
  signer: ChallengeSigner;
  /** Whom the message must name. Default: the host name of the client's API. */
  domain?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** What shows that the signer owns its address: refunds.create takes it as `proof`. */
export interface AddressProof {
  readonly nonce: string;
  /** Base58. */
  readonly signature: string;
}

/** The challenge is not one that may be signed; nothing was. */
export class ChallengeRefusedError extends VolleyError {
  override name = "ChallengeRefusedError";
}

const FIRST_LINE = / wants you to sign in with your Solana account:$/;
const PORT = /:[0-9]+$/;

/** A message in another's name would let whoever asks for the signature sign in there. */
function requireOwn(challenge: Challenge, address: string, domain: string): void {
  const [first = "", second] = challenge.message.split("\n");
  const named = first.replace(FIRST_LINE, "");
  if (named === first || second !== address || challenge.address !== address) {
    throw new ChallengeRefusedError(`The challenge is no sign-in message for ${address}; it was not signed.`);
  }
  if (named !== domain && named.replace(PORT, "") !== domain) {
    throw new ChallengeRefusedError(
      `The challenge is in the name of "${named}", not of "${domain}"; it was not signed.`,
    );
  }
}

async function signatureOver(text: string, signer: ChallengeSigner): Promise<string> {
  const message = createSignableMessage(text);
  let signature: SignatureBytes | undefined;
  if (isMessageModifyingSigner(signer)) {
    const [signed] = await signer.modifyAndSignMessages([message]);
    const isSame = signed?.content.every((byte, index) => byte === message.content[index]) ?? false;
    if (!isSame || signed?.content.length !== message.content.length) {
      throw new ChallengeRefusedError("The wallet changed the message before it signed; its signature is of no use.");
    }
    signature = signed.signatures[signer.address];
  } else {
    const [signatures] = await signer.signMessages([message]);
    signature = signatures?.[signer.address];
  }
  if (signature === undefined) throw new ChallengeRefusedError("The wallet answered without a signature.");
  return getBase58Decoder().decode(signature);
}

async function signChallenge(
  volley: Volley,
  purpose: NonNullable<AuthChallengeParams["purpose"]>,
  { signer, domain = new URL(volley.baseUrl).hostname, signal }: SignChallengeOptions,
): Promise<AddressProof> {
  const challenge = await volley.auth.challenge({ address: signer.address, purpose }, { signal });
  requireOwn(challenge, signer.address, domain);
  return { nonce: challenge.nonce, signature: await signatureOver(challenge.message, signer) };
}

/**
 * Signs in with a wallet; the account is made at the first time.
 * @example
 * const session = await signIn(volley, { signer });
 * const mine = volley.withOptions({ apiKey: session.token });
 * @throws {ChallengeRefusedError} when the message is not one to sign; nothing was signed then
 */
export async function signIn(volley: Volley, options: SignChallengeOptions): Promise<Session> {
  return volley.auth.session(await signChallenge(volley, "sign_in", options), { signal: options.signal });
}

/** Proves that the signer's address is its owner's, so that a refund to it needs no delay. */
export function proveAddress(volley: Volley, options: SignChallengeOptions): Promise<AddressProof> {
  return signChallenge(volley, "refund_address", options);
}
