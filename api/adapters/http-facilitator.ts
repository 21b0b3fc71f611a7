/** A facilitator over HTTP: `POST /settle` of x402 v2, `specs/x402-specification-v2.md`, section 7. */
import { z } from "zod";
import { type Facilitator, FacilitatorError, type SettleAnswer, type SettleOrder } from "../ports/facilitator.ts";

const TIMEOUT_MS = 30_000;
const ANSWER_BYTES_MAX = 65_536;

const answerSchema = z.object({
  success: z.boolean(),
  errorReason: z.string().max(1_000).optional(),
});

/** @param url without the last part; a bearer token may be needed, by its operator's rules */
export function httpFacilitator(url: string, bearerToken: string | null): Facilitator {
  const endpoint = `${url.replace(/\/+$/, "")}/settle`;
  return {
    async settle({ transactionBase64, requirements }: SettleOrder): Promise<SettleAnswer> {
      const paymentPayload = { x402Version: 2, accepted: requirements, payload: { transaction: transactionBase64 } };
      const body = JSON.stringify({ x402Version: 2, paymentPayload, paymentRequirements: requirements });
      const answer = await ask(endpoint, body, bearerToken);
      if (answer.success) return { settled: true };
      return { settled: false, reason: answer.errorReason ?? "The facilitator gives no reason." };
    },
  };
}

async function ask(endpoint: string, body: string, token: string | null): Promise<z.output<typeof answerSchema>> {
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      body,
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await readText(response);
    // A refusal may come with an error status and the same body.
    return answerSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new FacilitatorError("the facilitator did not answer as it should", { cause });
  }
}

/** Whoever answers is somebody else, so no more is taken in than an answer can be. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) throw new RangeError("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
