/** x402 over HTTP (`specs/transports-v2/http.md`): in headers what GraphQL carries in fields and extensions. */
import { isVolleyError } from "@volley/schema/errors";
import type { Operation } from "@volley/schema/operation";
import type { Payment } from "@volley/schema/resources/payment";

const SENT = "payment-signature";
const PAYABLE = "clusters.reserve";

/** The input with what the client sent as a header in its field. */
export function withPaymentSent(operation: Operation, headers: Headers, input: object): object {
  const sent = operation.id === PAYABLE ? headers.get(SENT) : null;
  if (sent === null) return input;
  const payment =
    "payment" in input && input.payment !== null && typeof input.payment === "object" ? input.payment : {};
  return { ...input, payment: { ...payment, x402_payload: sent } };
}

/** What a refusal asks for, or what came of a payment that failed. */
export function paymentHeadersOfError(error: unknown): Record<string, string> {
  if (!isVolleyError(error)) return {};
  const { x402, settlement } = error.extensions;
  return {
    ...(x402 === undefined ? {} : { "payment-required": encode(x402) }),
    ...(settlement === undefined ? {} : { "payment-response": encode(settlement) }),
  };
}

/** What came of the payment of a reservation; nothing for other rails. */
export function paymentHeadersOfOutput(operation: Operation, output: object): Record<string, string> {
  if (operation.id !== PAYABLE || !("payment" in output)) return {};
  const { x402, status, signatures, amount } = output.payment as Payment;
  if (x402 === null) return {};
  const settled = status === "settled";
  return {
    "payment-response": encode({
      success: settled,
      ...(settled ? {} : { errorReason: "settlement_pending" }),
      transaction: signatures[0] ?? "",
      network: x402.network,
      amount: String(BigInt(amount.amount.replace(".", ""))),
    }),
  };
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value), "utf8").toString("base64");
