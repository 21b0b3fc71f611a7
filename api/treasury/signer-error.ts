/** What the signer refuses to sign, or why it can't. */
export class SignerError extends Error {
  override readonly name = "SignerError";
}
