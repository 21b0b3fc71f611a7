import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { type Address, address, isOffCurveAddress } from "@solana/kit";
import { ASSOCIATED_TOKEN_PROGRAM_ADDRESS, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { decodeBase58, encodeBase58 } from "./bytes.ts";

/** A key pair whose use needs no waiting, unlike WebCrypto's: the chain answers calls synchronously. */
export interface ChainKey {
  address: Address;
  sign(message: Uint8Array): Uint8Array;
}

export const sha256 = (...parts: (Uint8Array | string)[]): Uint8Array => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return Uint8Array.from(hash.digest());
};

// RFC 8410 section 7: the fixed head of a PKCS #8 Ed25519 private key; the 32 bytes of the key follow.
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex");

/** The Ed25519 key that belongs to a seed and a name: the same ones always give the same key. */
export function deriveKey(seed: string, name: string): ChainKey {
  const secret = sha256(seed, "\n", name);
  const key: KeyObject = createPrivateKey({ key: Buffer.concat([pkcs8Head, secret]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  return {
    address: address(encodeBase58(Uint8Array.from(publicKey))),
    sign: (message) => Uint8Array.from(sign(null, message, key)),
  };
}

/** The associated token account of an owner under the SPL Token program; kit's own derivation is asynchronous. */
export function associatedTokenAddress(owner: string, mint: string): Address {
  const seeds = [owner, TOKEN_PROGRAM_ADDRESS, mint].map(decodeBase58);
  for (let bump = 255; bump >= 0; bump--) {
    const candidate = address(
      encodeBase58(
        sha256(...seeds, Uint8Array.of(bump), decodeBase58(ASSOCIATED_TOKEN_PROGRAM_ADDRESS), "ProgramDerivedAddress"),
      ),
    );
    if (isOffCurveAddress(candidate)) return candidate;
  }
  throw new Error(`No associated token address exists for owner ${owner} and mint ${mint}`);
}
