import {
  isSolanaError,
  SOLANA_ERROR__JSON_RPC__INVALID_PARAMS,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_UNSUPPORTED_TRANSACTION_VERSION,
  type SolanaErrorCode,
} from "@solana/kit";
import { ChainError } from "../ports/chain.ts";
import type { Clock } from "../ports/clock.ts";

/** A request of kit that is ready to be sent. */
interface Sendable<Answer> {
  send(options: { abortSignal: AbortSignal }): Promise<Answer>;
}

export interface CallLimits {
  readonly clock: Clock;
  /** For one try. */
  readonly timeoutMs: number;
  readonly tries: number;
}

const FIRST_PAUSE_MS = 100;

/** What the node has understood and refuses: to ask again changes nothing. */
const FINAL: readonly SolanaErrorCode[] = [
  SOLANA_ERROR__JSON_RPC__INVALID_PARAMS,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_UNSUPPORTED_TRANSACTION_VERSION,
];

/**
 * Calls the node within a time limit and tries again, with pauses that double, when it didn't answer.
 * @throws {ChainError} with the node's last error as its cause
 */
export async function callNode<Answer>(limits: CallLimits, method: string, request: Sendable<Answer>): Promise<Answer> {
  for (let tried = 1; ; tried++) {
    try {
      return await request.send({ abortSignal: AbortSignal.timeout(limits.timeoutMs) });
    } catch (cause) {
      if (tried >= limits.tries || FINAL.some((code) => isSolanaError(cause, code))) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new ChainError(`${method} failed after ${tried} tries: ${reason}`, { cause });
      }
      await limits.clock.sleep(FIRST_PAUSE_MS * 2 ** (tried - 1));
    }
  }
}
