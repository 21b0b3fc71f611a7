import type { Pay } from "../cluster-handle.ts";
import type { Payment } from "../generated.ts";
import { type PayTransferRequestOptions, payTransferRequest } from "./pay-transfer-request.ts";
import { SolanaPaymentError } from "./payment-error.ts";
import { parseTransferRequest, toBaseUnits } from "./transfer-request.ts";

const USDC_DECIMALS = 6;

export type PayWithOptions = Pick<PayTransferRequestOptions, "signer" | "rpcUrl">;

function requestOf(payment: Payment): NonNullable<Payment["solanaPay"]> {
  if (payment.solanaPay !== null) return payment.solanaPay;
  const message = `Payment ${payment.id} is paid by ${payment.rail}, not by a wallet.`;
  throw new SolanaPaymentError("request_unsupported", message);
}

/** The URL is what gets paid, so it must ask for what the payment shows. */
function requireSame(payment: Payment): void {
  const { url, recipient, splToken, reference } = requestOf(payment);
  const request = parseTransferRequest(url);
  const isSame =
    request.recipient === recipient &&
    request.splToken === splToken &&
    request.references.includes(reference as (typeof request.references)[number]) &&
    toBaseUnits(request.amount, USDC_DECIMALS) === toBaseUnits(payment.amount.amount, USDC_DECIMALS);
  if (!isSame) {
    throw new SolanaPaymentError(
      "request_mismatch",
      `The URL of payment ${payment.id} asks for something else than it.`,
    );
  }
}

/**
 * Pays with USDC from the signer's wallet; unused money comes back there, unless reserving names another address.
 * Its promise gives the transaction's signature.
 * @example
 * const pay = payWith({ signer: await keypairSignerFromFile("payer.json"), rpcUrl: "https://api.mainnet-beta.solana.com" });
 * await using cluster = await volley.clusters.reserve({ quote, pay });
 */
export function payWith(options: PayWithOptions): Pay & { readonly refundAddress: string } {
  const pay = async (payment: Payment, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<string> => {
    requireSame(payment);
    return payTransferRequest({ ...options, url: requestOf(payment).url, signal });
  };
  return Object.assign(pay, { refundAddress: options.signer.address });
}
