/** Paying for clusters with USDC on Solana. Needs `@solana/kit`. */
export { keypairSignerFromFile } from "./solana/keypair-signer-from-file.ts";
export {
  type PayingSigner,
  type PayTransferRequestOptions,
  payTransferRequest,
} from "./solana/pay-transfer-request.ts";
export { type PayWithOptions, payWith } from "./solana/pay-with.ts";
export { SolanaPaymentError, type SolanaPaymentErrorCode } from "./solana/payment-error.ts";
export {
  type AddressProof,
  ChallengeRefusedError,
  type ChallengeSigner,
  proveAddress,
  type SignChallengeOptions,
  signIn,
} from "./solana/sign-in.ts";
export { parseTransferRequest, type TransferRequest, toBaseUnits } from "./solana/transfer-request.ts";
