/** What an x402 client has to pay for one request. Nothing is written down: the memo is the memory. */
import { createHmac } from "node:crypto";
import { VolleyError } from "@volley/schema/errors";
import { OPERATIONS, type OperationId } from "@volley/schema/operations/index";
import { canonicalJson } from "../../idempotency/key.ts";
import type { Settings } from "../../settings.ts";
import { networkOf } from "./network.ts";
import type { PaymentRequired, PaymentRequirements } from "./protocol.ts";
import { TIMEOUT_SECONDS, X402_VERSION } from "./protocol.ts";

type PayableSettings = Pick<
  Settings,
  "publicUrl" | "secretKey" | "solanaNetwork" | "sponsorAddress" | "treasuryAddress" | "usdcMint"
>;

/** Keeps these memos apart from any other use of the same key. */
const PURPOSE = "volley.x402-memo.v1.";

/** Everything that the payment is bound to: paid for one request, it can't pay for another one. */
export interface PayableRequest {
  readonly operation: OperationId;
  /** As parsed, and without the payment's evidence. */
  readonly input: unknown;
  readonly amountMicroUsdc: bigint;
}

/** @throws {VolleyError} `rail_unavailable` where nobody pays the transactions' fees */
export function paymentRequirements(settings: PayableSettings, request: PayableRequest): PaymentRequirements {
  const { sponsorAddress } = settings;
  if (sponsorAddress === null) {
    throw new VolleyError("rail_unavailable", "This deployment takes no x402 payments.", {
      nextAction: "Reserve with the rail solana_pay.",
    });
  }
  const terms = {
    scheme: "exact",
    network: networkOf(settings),
    amount: request.amountMicroUsdc.toString(),
    asset: settings.usdcMint,
    payTo: settings.treasuryAddress,
    maxTimeoutSeconds: TIMEOUT_SECONDS,
  } as const;
  const { method, path } = OPERATIONS[request.operation];
  const bound = canonicalJson([method, path, request.input, terms, sponsorAddress]);
  const mac = createHmac("sha256", settings.secretKey).update(PURPOSE + bound);
  return { ...terms, extra: { feePayer: sponsorAddress, memo: `volley:${mac.digest("base64url")}` } };
}

/** The refusal that tells a client how to pay. */
export function paymentRequired(
  settings: PayableSettings,
  request: PayableRequest,
  refusal: {
    readonly code: "payment_required" | "payment_invalid";
    readonly detail: string;
    readonly nextAction: string;
  },
): VolleyError {
  const { path, summary } = OPERATIONS[request.operation];
  const required: PaymentRequired = {
    x402Version: X402_VERSION,
    error: refusal.detail,
    resource: { url: new URL(path, settings.publicUrl).href, description: summary, mimeType: "application/json" },
    accepts: [paymentRequirements(settings, request)],
  };
  return new VolleyError(refusal.code, refusal.detail, {
    nextAction: refusal.nextAction,
    extensions: { x402: required },
  });
}
