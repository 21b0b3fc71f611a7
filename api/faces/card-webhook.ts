/** Where the card processor sends its notices: the exact bytes are signed, so nothing parses them on the way. */
import { VolleyError } from "@volley/schema/errors";
import type { Domain } from "../verbs.ts";
import { jsonAnswer } from "./answer.ts";
import { charge } from "./call.ts";
import type { Handle } from "./endpoint.ts";
import { readBody } from "./read-body.ts";

export function cardWebhook(receive: Domain["receiveCardNotice"]): Handle {
  return async (call, c) => {
    charge(call, "write");
    const signature = call.headers.get("stripe-signature");
    if (signature === null) {
      throw new VolleyError("webhook_signature_invalid", "The notice is not signed.", {
        nextAction: "Only the card processor may send notices, with the header Stripe-Signature.",
      });
    }
    await receive(call.services, await readBody(c.req.raw, call.services.settings.bodyBytesMax), signature);
    return jsonAnswer(200, { received: true });
  };
}
