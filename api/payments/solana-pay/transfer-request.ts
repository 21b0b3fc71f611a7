/** The Solana Pay transfer request (specification 1.1, "Transfer Request"): the one place that builds its URL. */
import { type Address, getBase58Decoder } from "@solana/kit";
import { encodeURL } from "@solana/pay";
import { USDC_DECIMALS } from "@volley/schema/money";
import type { Random } from "../../ports/random.ts";

export interface SolanaPayRequest {
  /** The wallet, not its token account. */
  readonly recipient: string;
  readonly mint: string;
  readonly reference: string;
  readonly amountMicroUsdc: bigint;
  /** Wallets show it to the payer. */
  readonly message: string;
}

const LABEL = "Volley";
const REFERENCE_BYTES = 32;

export function solanaPayUrl(request: SolanaPayRequest): string {
  const url = encodeURL({
    // Settings and `newReference` have proved them; decoding them again would cost more than all the rest.
    recipient: request.recipient as Address,
    splToken: request.mint as Address,
    reference: request.reference as Address,
    label: LABEL,
    message: request.message,
  });
  // The library counts in floating point; an amount must be exact to the last place.
  url.searchParams.set("amount", decimalAmount(request.amountMicroUsdc));
  return url.href;
}

/** In whole USDC, with a leading zero, without exponent and without trailing zeros, as the specification asks. */
function decimalAmount(microUsdc: bigint): string {
  const digits = microUsdc.toString().padStart(USDC_DECIMALS + 1, "0");
  const whole = digits.slice(0, -USDC_DECIMALS);
  const fraction = digits.slice(-USDC_DECIMALS).replace(/0+$/, "");
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

/** What marks a payment on chain: 32 random bytes in base58, which nobody has a key for. */
export function newReference(random: Random): string {
  return getBase58Decoder().decode(random.bytes(REFERENCE_BYTES));
}
