/** `/pay/{id}`: the hosted page of a payment, its live state, and the icon that wallets show. */

import { isVolleyError, VolleyError } from "@volley/schema/errors";
import { isId } from "@volley/schema/ids";
import type { Context as HonoContext } from "hono";
import type { Context } from "../../context.ts";
import { getCheckout } from "../../payments/get-checkout.ts";
import { type Answer, reportProblem } from "../answer.ts";
import { charge, contextOfReader } from "../call.ts";
import type { Handle } from "../endpoint.ts";
import { EVENT_STREAM_HEADERS, eventStream, type StreamMessage } from "../event-stream.ts";
import { isOver, renderCheckout, renderMissing, renderState, shownId, stateOf } from "./render-checkout.ts";

const NONCE_BYTES = 16;
const LOOK_MS = 1_000;
/** A browser whose stream has ended connects again by itself. */
const STREAM_MS_MAX = 600_000;

/** Solana Pay specification 1.1, "Transaction Request": SVG, PNG or WebP. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#3d3bce"/><path d="M14 18l18 30 18-30" fill="none" stroke="#fff" stroke-width="8" stroke-linecap="round" stroke-linejoin="round"/></svg>`;

export const icon: Handle = async () => ({
  status: 200,
  body: ICON,
  headers: { "content-type": "image/svg+xml", "cache-control": "public, max-age=86400" },
});

export const checkoutPage: Handle = async (call, c) => {
  charge(call, "read");
  const nonce = Buffer.from(call.services.random.bytes(NONCE_BYTES)).toString("base64url");
  try {
    const checkout = await getCheckout(contextOfReader(call), idOf(c));
    return page(200, await renderCheckout(checkout, nonce), nonce);
  } catch (error) {
    if (!isVolleyError(error) || error.code !== "not_found") throw error;
    return page(404, await renderMissing(nonce), nonce);
  }
};

export const checkoutEvents: Handle = async (call, c) => {
  charge(call, "stream");
  const gone = new AbortController();
  const ctx: Context = { ...contextOfReader(call), signal: gone.signal };
  const body = await eventStream(states(ctx, idOf(c)), {
    clock: call.services.clock,
    signal: call.signal,
    gone,
    onEnd: call.limiter.openStream(call.callerHash),
    onError: (error) => ({ event: "failed", data: JSON.stringify(reportProblem(call, error, "checkout")) }),
  });
  return { status: 200, body, headers: EVENT_STREAM_HEADERS };
};

/** The rendered state, at once and whenever it differs from the last. */
async function* states(ctx: Context, paymentId: string): AsyncGenerator<StreamMessage> {
  const untilMs = ctx.clock.nowMs() + STREAM_MS_MAX;
  let shown = "";
  while (!ctx.signal.aborted && ctx.clock.nowMs() < untilMs) {
    const checkout = await getCheckout(ctx, paymentId);
    const html = await renderState(checkout);
    const over = isOver(stateOf(checkout));
    if (html !== shown) yield { event: "state", id: shownId(html), data: JSON.stringify({ html, over }) };
    if (over) return;
    shown = html;
    // Only an abort rejects, and the loop looks at the signal next.
    await ctx.clock.sleep(LOOK_MS, ctx.signal).catch(() => undefined);
  }
}

function idOf(c: HonoContext): string {
  const id = c.req.param("id") ?? "";
  if (!isId("payment", id)) throw new VolleyError("not_found", "There is no such payment.");
  return id;
}

function page(status: number, body: string, nonce: string): Answer {
  return {
    status,
    body,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    },
  };
}
