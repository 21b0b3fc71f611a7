/** Reads Solana Pay transfer requests (Solana Pay specification 1.0, "Specification: Transfer Request"). */
import { type Address, isAddress } from "@solana/kit";
import { SolanaPaymentError } from "./payment-error.ts";

export interface TransferRequest {
  /** The wallet that is paid, not its token account. */
  readonly recipient: Address;
  /** In units of the token, as decimal text. */
  readonly amount: string;
  readonly splToken: Address;
  /** Keys that the transfer must name, in this order, so that it can be found again. */
  readonly references: readonly Address[];
  readonly label: string | null;
  readonly message: string | null;
  /** Text that the transaction must carry, right before the transfer. */
  readonly memo: string | null;
}

const URL_LENGTH_MAX = 8192;
const REFERENCES_MAX = 16;
const AMOUNT_PATTERN = /^(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/;

function malformed(why: string): SolanaPaymentError {
  return new SolanaPaymentError("request_malformed", `This is no Solana Pay transfer request: ${why}.`);
}

function addressOf(text: string, what: string): Address {
  if (!isAddress(text)) throw malformed(`the ${what} is no base58 public key`);
  return text;
}

function single(query: URLSearchParams, name: string): string | null {
  const values = query.getAll(name);
  if (values.length > 1) throw malformed(`${name} may be given once`);
  return values[0] ?? null;
}

/**
 * @throws {SolanaPaymentError} `request_malformed`, or `request_unsupported` for a transaction request, a transfer of
 * SOL, and a request that leaves the amount to the payer
 */
export function parseTransferRequest(url: string): TransferRequest {
  if (url.length > URL_LENGTH_MAX) throw malformed(`it is longer than ${URL_LENGTH_MAX} characters`);
  if (!url.startsWith("solana:")) throw malformed("it does not begin with solana:");
  const [path = "", ...rest] = url.slice("solana:".length).split("?");
  if (/^https(?::|%3a)/i.test(path)) {
    throw new SolanaPaymentError("request_unsupported", "Transaction requests (solana:https…) are not supported.");
  }
  const query = new URLSearchParams(rest.join("?"));
  const recipient = addressOf(path, "recipient");
  const amount = single(query, "amount");
  const splToken = single(query, "spl-token");
  if (amount !== null && !AMOUNT_PATTERN.test(amount)) {
    throw malformed("the amount must be a decimal number such as 0.5, without sign or exponent");
  }
  const references = query.getAll("reference").map((text) => addressOf(text, "reference"));
  if (references.length > REFERENCES_MAX) throw malformed(`it has more than ${REFERENCES_MAX} references`);
  if (amount === null) throw new SolanaPaymentError("request_unsupported", "The request names no amount.");
  if (splToken === null)
    throw new SolanaPaymentError("request_unsupported", "The request asks for SOL, not for a token.");
  return {
    recipient,
    amount,
    splToken: addressOf(splToken, "spl-token"),
    references,
    label: single(query, "label"),
    message: single(query, "message"),
    memo: single(query, "memo"),
  };
}

const BASE_UNITS_MAX = 2n ** 64n - 1n;

/**
 * Reads a decimal amount as whole base units of a token, exactly.
 * @throws {SolanaPaymentError} `request_malformed` when it has more places than the token, or is beyond 64 bits
 */
export function toBaseUnits(amount: string, decimals: number): bigint {
  if (!AMOUNT_PATTERN.test(amount)) throw malformed("the amount must be a decimal number such as 0.5");
  const [whole = "", fraction = ""] = amount.split(".");
  if (fraction.length > decimals) throw malformed(`the amount has more than the token's ${decimals} decimal places`);
  const units = BigInt(whole + fraction.padEnd(decimals, "0"));
  if (units > BASE_UNITS_MAX) throw malformed("the amount is beyond what a token can hold");
  return units;
}
