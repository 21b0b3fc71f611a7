/** Sends a signed transaction again and again until it is confirmed, or can't be included any more. */
import {
  type Base64EncodedWireTransaction,
  isSolanaError,
  type Signature,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
} from "@solana/kit";
import { AbortedError, VolleyError } from "../errors.ts";
import { pause } from "../wait.ts";
import { SolanaPaymentError } from "./payment-error.ts";
import type { SolanaRpc } from "./prepare-transfer.ts";

const POLL_MS = 400;
/** Nodes drop transactions under load, so it goes out again every few polls; the chain takes it once. */
const POLLS_PER_SEND = 5;
const RPC_TIMEOUT_MS = 10_000;
/** A blockhash lives about a minute; a chain that takes longer than this to say so is not answering. */
const OUTCOME_MS_MAX = 180_000;

export interface SignedTransaction {
  readonly signature: Signature;
  readonly wire: Base64EncodedWireTransaction;
  readonly lastValidBlockHeight: bigint;
}

/** A limit for one question to the chain, beside the caller's own signal. */
export function callSignal(signal: AbortSignal | undefined): AbortSignal {
  const limit = AbortSignal.timeout(RPC_TIMEOUT_MS);
  return signal === undefined ? limit : AbortSignal.any([signal, limit]);
}

async function sendOnce(rpc: SolanaRpc, { wire, signature }: SignedTransaction, isFirst: boolean, signal: AbortSignal) {
  try {
    const config = {
      encoding: "base64",
      skipPreflight: !isFirst,
      maxRetries: 0n,
      preflightCommitment: "confirmed",
    } as const;
    await rpc.sendTransaction(wire, config).send({ abortSignal: signal });
  } catch (cause) {
    if (isFirst && isSolanaError(cause, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE)) {
      throw new SolanaPaymentError("transaction_refused", "The chain refused the transaction; nothing was paid.", {
        signature,
        cause,
      });
    }
    throw cause;
  }
}

type Outcome = "confirmed" | "expired" | "open";

async function outcomeOf(rpc: SolanaRpc, transaction: SignedTransaction, signal: AbortSignal): Promise<Outcome> {
  // The height is read first: a transaction that is unknown after the last valid block was seen is gone for good.
  const height = await rpc.getBlockHeight({ commitment: "confirmed" }).send({ abortSignal: signal });
  const isExpired = height > transaction.lastValidBlockHeight;
  const { value } = await rpc
    .getSignatureStatuses([transaction.signature], { searchTransactionHistory: isExpired })
    .send({ abortSignal: signal });
  const status = value[0];
  if (!status) return isExpired ? "expired" : "open";
  if (status.err !== null) {
    throw new SolanaPaymentError("transaction_failed", "The transaction failed on chain; only its fee was paid.", {
      signature: transaction.signature,
    });
  }
  return status.confirmationStatus === "confirmed" || status.confirmationStatus === "finalized" ? "confirmed" : "open";
}

/** @throws {SolanaPaymentError} `transaction_refused`, `transaction_failed`, `transaction_expired`, `outcome_unknown` */
export async function sendUntilConfirmed(
  rpc: SolanaRpc,
  transaction: SignedTransaction,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { signature } = transaction;
  const startMs = performance.now();
  let lastFailure: unknown;
  for (let polls = 0; performance.now() - startMs < OUTCOME_MS_MAX; polls++) {
    if (signal?.aborted) throw new AbortedError(signal);
    try {
      if (polls % POLLS_PER_SEND === 0) await sendOnce(rpc, transaction, polls === 0, callSignal(signal));
      const outcome = await outcomeOf(rpc, transaction, callSignal(signal));
      if (outcome === "confirmed") return;
      if (outcome === "expired") {
        throw new SolanaPaymentError(
          "transaction_expired",
          "The transaction was not included in time; nothing was paid.",
          {
            signature,
          },
        );
      }
    } catch (error) {
      // A question that failed is asked again: the transaction is signed, so nothing is paid twice.
      if (error instanceof VolleyError) throw error;
      lastFailure = error;
    }
    await pause(POLL_MS, signal);
  }
  throw new SolanaPaymentError("outcome_unknown", `The chain did not say in time what became of ${signature}.`, {
    signature,
    cause: lastFailure,
  });
}
