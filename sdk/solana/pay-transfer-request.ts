import {
  appendTransactionMessageInstructions,
  createSolanaRpc,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
  type TransactionModifyingSigner,
  type TransactionPartialSigner,
} from "@solana/kit";
import { prepareTransfer, type SolanaRpc } from "./prepare-transfer.ts";
import { callSignal, type SignedTransaction, sendUntilConfirmed } from "./send-until-confirmed.ts";
import { memoInstruction, type Transfer, transferInstruction } from "./transfer-instructions.ts";
import { parseTransferRequest } from "./transfer-request.ts";

/** Whoever holds the money: a key pair, or a wallet that signs. */
export type PayingSigner = TransactionPartialSigner | TransactionModifyingSigner;

export interface PayTransferRequestOptions {
  /** A Solana Pay transfer request for a token: `solana:…`. */
  url: string;
  signer: PayingSigner;
  /** HTTP address of a Solana RPC node. */
  rpcUrl: string;
  signal?: AbortSignal | undefined;
}

async function signTransfer(
  rpc: SolanaRpc,
  transfer: Transfer,
  memo: string | null,
  { signer, signal }: PayTransferRequestOptions,
): Promise<SignedTransaction> {
  const abortSignal = callSignal(signal);
  const { value: lifetime } = await rpc.getLatestBlockhash({ commitment: "confirmed" }).send({ abortSignal });
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (draft) => setTransactionMessageFeePayerSigner(signer, draft),
    (draft) => setTransactionMessageLifetimeUsingBlockhash(lifetime, draft),
    (draft) =>
      appendTransactionMessageInstructions(
        [...(memo === null ? [] : [memoInstruction(memo)]), transferInstruction(transfer)],
        draft,
      ),
  );
  const signed = await signTransactionMessageWithSigners(message);
  return {
    signature: getSignatureFromTransaction(signed),
    wire: getBase64EncodedWireTransaction(signed),
    lastValidBlockHeight: lifetime.lastValidBlockHeight,
  };
}

/**
 * Pays a Solana Pay transfer request and waits until the chain has confirmed it. The request alone is enough: it
 * names amount, token, recipient and reference.
 * @returns the transaction's signature
 * @throws {SolanaPaymentError} its `code` says whether something was paid
 */
export async function payTransferRequest(options: PayTransferRequestOptions): Promise<string> {
  const request = parseTransferRequest(options.url);
  const rpc = createSolanaRpc(options.rpcUrl);
  const transfer = await prepareTransfer(rpc, request, options.signer.address, callSignal(options.signal));
  const transaction = await signTransfer(rpc, transfer, request.memo, options);
  await sendUntilConfirmed(rpc, transaction, options.signal);
  return transaction.signature;
}
