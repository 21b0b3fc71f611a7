/** Waiting until a payment counts. */
import type { Volley } from "./client.ts";
import { VolleyError } from "./errors.ts";
import type { Payment } from "./generated.ts";
import type { RequestOptions } from "./request-options.ts";
import { type Span, toSeconds } from "./span.ts";
import { poll } from "./wait.ts";

/** The payment has come to an end without counting: it expired, for one. */
export class PaymentClosedError extends VolleyError {
  override name = "PaymentClosedError";
  readonly payment: Payment;

  constructor(payment: Payment) {
    super(`Payment ${payment.id} is ${payment.status}.`);
    this.payment = payment;
  }
}

export interface SettledOptions extends RequestOptions {
  /** How long to wait at most. Default: one hour; a payment expires long before. */
  timeout?: Span | undefined;
  /** Told of the payment each time it is looked at: seen on chain, too little, settled. */
  onProgress?: ((payment: Payment) => void) | undefined;
}

const SETTLED_TIMEOUT = "1h";
const OPEN: ReadonlySet<string> = new Set(["pending", "detected"]);

export async function waitUntilSettled(volley: Volley, id: string, options: SettledOptions = {}): Promise<Payment> {
  const { timeout = SETTLED_TIMEOUT, onProgress, ...requestOptions } = options;
  const payment = await poll(
    async () => {
      const now = await volley.payments.get(id, requestOptions);
      onProgress?.(now);
      return OPEN.has(now.status) ? undefined : now;
    },
    { timeoutMs: toSeconds(timeout) * 1000, what: `Settling (payment ${id})`, signal: options.signal },
  );
  if (payment.status !== "settled") throw new PaymentClosedError(payment);
  return payment;
}
