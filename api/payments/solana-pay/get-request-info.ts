import type { InputOf, Operations, OutputOf } from "@volley/schema";
import type { Context } from "../../context.ts";
import { findPayment } from "./find-payment.ts";

type RequestInfo = Operations["payments.request_info"];

/**
 * Who asks for the money (Solana Pay specification 1.1, "Transaction Request", GET).
 * @throws {VolleyError} `not_found`
 */
export async function getRequestInfo(ctx: Context, input: InputOf<RequestInfo>): Promise<OutputOf<RequestInfo>> {
  await findPayment(ctx, input.id);
  return { label: "Volley", icon: `${ctx.settings.publicUrl}/icon.svg` };
}
