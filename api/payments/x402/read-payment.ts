import { VolleyError } from "@volley/schema/errors";
import type { Context } from "../../context.ts";
import { canonicalJson } from "../../idempotency/key.ts";
import { requireAllowedAddress } from "../../identity/screen-address.ts";
import { ChainError } from "../../ports/chain.ts";
import { treasuryAccount } from "../inbound/treasury-account.ts";
import { type CheckedPayment, checkPayment, TransactionRefusal } from "./check-transaction.ts";
import { type PaymentRequirements, paymentPayloadSchema } from "./protocol.ts";
import { type PayableRequest, paymentRequired, paymentRequirements } from "./requirements.ts";

/** A payment that can be claimed: checked, and not yet signed by whoever pays its fee. */
export interface ReadPayment {
  /** SHA-256 of the transaction's message, hex. */
  readonly id: string;
  readonly transactionBase64: string;
  readonly payerSignature: string;
  /** No later block can hold it. */
  readonly lastValidBlockHeight: bigint;
}

/** A blockhash can be used for so many blocks; how old this one is, no node says. */
const BLOCKHASH_BLOCKS = 150n;
const NEXT = "Pay again as the requirements in this answer say; nothing was charged.";

/**
 * Reads and checks what an x402 client sent along: for this very request, for this amount, to us, and with the money
 * there. Nothing is written.
 * @throws {VolleyError} `payment_required`, `payment_invalid`, both with the requirements; `rail_unavailable`,
 * `unavailable` when the chain can't be asked
 */
export async function readPayment(
  ctx: Context,
  request: PayableRequest,
  payloadBase64: string | undefined,
): Promise<ReadPayment> {
  const requirements = paymentRequirements(ctx.settings, request);
  if (payloadBase64 === undefined) {
    throw paymentRequired(ctx.settings, request, {
      code: "payment_required",
      detail: "PAYMENT-SIGNATURE header is required",
      nextAction: "Pay as `x402.accepts` says, and repeat the request with its PaymentPayload.",
    });
  }
  const invalid = (detail: string) =>
    paymentRequired(ctx.settings, request, { code: "payment_invalid", detail, nextAction: NEXT });

  const { accepted, transactionBase64 } = decodePayload(payloadBase64, invalid);
  if (!isSame(accepted, requirements)) {
    throw invalid("`accepted` is not what this request asks for: the payment was made for another one.");
  }
  const checked = await check(ctx, transactionBase64, requirements, request.amountMicroUsdc, invalid);
  await requireAllowedAddress(ctx, ctx.db, { address: checked.payer, subject: "x402", reference: checked.id });
  const lastValidBlockHeight = await askChain(async () => {
    if (!(await ctx.chain.isBlockhashValid(checked.blockhash)))
      throw invalid("The transaction's blockhash has expired.");
    const held = (await ctx.chain.tokenBalance(checked.source, "confirmed")) ?? 0n;
    if (held < request.amountMicroUsdc) throw invalid("insufficient_funds: the payer's account holds too little USDC.");
    return (await ctx.chain.blockHeight("confirmed")) + BLOCKHASH_BLOCKS;
  });
  const { id, payerSignature } = checked;
  return { id, transactionBase64, payerSignature, lastValidBlockHeight };
}

function decodePayload(
  base64: string,
  invalid: (detail: string) => VolleyError,
): { accepted: unknown; transactionBase64: string } {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(base64, "base64").toString("utf8"));
  } catch {
    throw invalid("invalid_payload: it is not base64 of JSON.");
  }
  const parsed = paymentPayloadSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`invalid_payload: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`.trim());
  }
  return { accepted: parsed.data.accepted, transactionBase64: parsed.data.payload.transaction };
}

/** Field by field what we ask for, and nothing else. */
function isSame(accepted: unknown, requirements: PaymentRequirements): boolean {
  return canonicalJson(accepted) === canonicalJson(requirements);
}

async function check(
  ctx: Context,
  transactionBase64: string,
  { extra }: PaymentRequirements,
  amountMicroUsdc: bigint,
  invalid: (detail: string) => VolleyError,
): Promise<CheckedPayment> {
  const { tokenAccount, mint, owner } = await treasuryAccount(ctx.settings);
  try {
    return await checkPayment(transactionBase64, {
      feePayer: extra.feePayer,
      mint,
      payTo: owner,
      tokenAccount,
      amountMicroUsdc,
      memo: extra.memo,
      reference: null,
    });
  } catch (error) {
    if (!(error instanceof TransactionRefusal)) throw error;
    throw invalid(`${error.reason}: ${error.message}`);
  }
}

async function askChain<Answer>(question: () => Promise<Answer>): Promise<Answer> {
  try {
    return await question();
  } catch (cause) {
    if (!(cause instanceof ChainError)) throw cause;
    throw new VolleyError("unavailable", "The payment could not be checked: the Solana node doesn't answer.", {
      nextAction: "Repeat the request with the same Idempotency-Key and the same payment.",
      retryAfterSeconds: 1,
      cause,
    });
  }
}
