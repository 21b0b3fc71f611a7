/** Cards through Stripe's API, the same in Node and at the edge: its library, over fetch and the Web's cryptography. */
import type { Stripe } from "stripe";
import {
  CardError,
  type CardErrorKind,
  type CardNotice,
  type CardProcessor,
  type CardState,
  type CheckoutOrder,
} from "../../ports/card-processor.ts";
import type { Settings } from "../../settings.ts";
import { CARD_CURRENCY } from "../cards/card-amount.ts";

/** What the shapes below were written against, and the newest that Stripe's own mock server knows. */
const API_VERSION = "2026-08-26.dahlia";
const TIMEOUT_MS = 10_000;
const RETRIES_MAX = 1;
/** Older notices are refused, so that one that leaked can't be sent again later. */
const NOTICE_AGE_MAX_SECONDS = 300;
const DISPUTES_MAX = 100;
const PAGE_LIMIT = 100;
const PAGES_MAX = 10_000;

/** Of a session: it names our payment itself. */
const SESSION_NOTICES: ReadonlySet<string> = new Set([
  "checkout.session.completed",
  "checkout.session.async_payment_succeeded",
  "checkout.session.async_payment_failed",
  "checkout.session.expired",
]);
/** Of a charge, refund or dispute: they name the payment intent. */
const INTENT_NOTICES: ReadonlySet<string> = new Set([
  "charge.refunded",
  "refund.updated",
  "refund.failed",
  "charge.dispute.created",
  "charge.dispute.updated",
  "charge.dispute.closed",
  "charge.dispute.funds_withdrawn",
  "charge.dispute.funds_reinstated",
]);
/** Money of these is still with the bank or goes back to it; inquiries (`warning_…`) move none. */
const CONTESTED: ReadonlySet<string> = new Set(["needs_response", "under_review"]);

type CardSettings = Pick<Settings, "stripeSecretKey" | "stripeWebhookSecrets" | "stripeApiUrl">;

/** Null when no key is set: then nobody is offered to pay by card. */
export function stripeCards(settings: CardSettings): CardProcessor | null {
  const { stripeSecretKey, stripeWebhookSecrets, stripeApiUrl } = settings;
  if (stripeSecretKey === null) return null;
  let made: Promise<Stripe> | undefined;
  // Loaded when it is first needed: the library is large, and most processes never need it.
  const client = () => {
    made ??= openClient(stripeSecretKey, stripeApiUrl);
    return made;
  };
  const state = async (session: Stripe.Checkout.Session) => {
    const stripe = await client();
    return toState(session, await disputesOf(stripe, session));
  };
  return {
    open: (order) =>
      asking(async () => {
        const stripe = await client();
        const options = { idempotencyKey: `${order.paymentId}:checkout` };
        return await state(await stripe.checkout.sessions.create(toParameters(order), options));
      }),
    read: (sessionId) =>
      asking(async () => {
        const stripe = await client();
        return await state(await stripe.checkout.sessions.retrieve(sessionId, EXPANDED));
      }),
    expire: (sessionId) =>
      asking(async () => {
        const stripe = await client();
        const session = await stripe.checkout.sessions.retrieve(sessionId, EXPANDED);
        if (session.status !== "open") return await state(session);
        const options = { idempotencyKey: `${sessionId}:expire` };
        return await state(await stripe.checkout.sessions.expire(sessionId, EXPANDED, options));
      }),
    async *completed(sinceMs) {
      let after: string | undefined;
      for (let pages = 0; pages < PAGES_MAX; pages++) {
        const page = await asking(async () => completedPage(await client(), sinceMs, after));
        const states: CardState[] = [];
        for (const session of page.data) states.push(await asking(() => state(session)));
        yield states;
        after = page.data.at(-1)?.id;
        if (!page.has_more || after === undefined) return;
      }
      throw new CardError("refused", `more than ${PAGES_MAX * PAGE_LIMIT} payments by card can't be compared`);
    },
    paymentOf: (paymentIntent) =>
      asking(async () => {
        const stripe = await client();
        const { data } = await stripe.checkout.sessions.list({ payment_intent: paymentIntent, limit: 1 });
        return data[0]?.client_reference_id ?? null;
      }),
    async verify(body, signature, nowMs) {
      const stripe = await client();
      for (const secret of stripeWebhookSecrets) {
        const event = await verified(stripe, { body, signature, secret, nowMs });
        if (event !== null) return toNotice(event);
      }
      throw new CardError("signature", "the signature is none of ours, or too old");
    },
  };
}

async function completedPage(stripe: Stripe, sinceMs: number, after: string | undefined) {
  return await stripe.checkout.sessions.list({
    status: "complete",
    created: { gte: Math.floor(sinceMs / 1000) },
    limit: PAGE_LIMIT,
    expand: ["data.payment_intent.latest_charge"],
    ...(after === undefined ? {} : { starting_after: after }),
  });
}

const EXPANDED = { expand: ["payment_intent.latest_charge"] };

async function openClient(secretKey: string, apiUrl: string): Promise<Stripe> {
  const { Stripe: Library } = await import("stripe");
  const { protocol, hostname, port } = new URL(apiUrl);
  return new Library(secretKey, {
    apiVersion: API_VERSION,
    httpClient: Library.createFetchHttpClient(),
    protocol: protocol === "http:" ? "http" : "https",
    host: hostname,
    port: port || (protocol === "http:" ? "80" : "443"),
    timeout: TIMEOUT_MS,
    maxNetworkRetries: RETRIES_MAX,
    telemetry: false,
  });
}

/** Cards alone, in one currency and at our amount: what is paid is what the row says, or it isn't counted. */
function toParameters(order: CheckoutOrder): Stripe.Checkout.SessionCreateParams {
  const { paymentId, amountMinor, expiresAtMs, returnUrl } = order;
  const metadata = { payment_id: paymentId };
  return {
    mode: "payment",
    payment_method_types: ["card"],
    adaptive_pricing: { enabled: false },
    client_reference_id: paymentId,
    metadata,
    payment_intent_data: { metadata, description: `Volley balance, ${paymentId}` },
    line_items: [
      {
        quantity: 1,
        price_data: {
          currency: CARD_CURRENCY,
          unit_amount: Number(amountMinor),
          product_data: { name: "Volley balance" },
        },
      },
    ],
    expires_at: Math.floor(expiresAtMs / 1000),
    success_url: returnUrl,
    cancel_url: returnUrl,
    ...EXPANDED,
  };
}

async function disputesOf(stripe: Stripe, session: Stripe.Checkout.Session): Promise<Stripe.Dispute[]> {
  const intent = expanded(session.payment_intent);
  const charge = expanded(intent?.latest_charge ?? null);
  if (intent === null || charge === null || !charge.disputed) return [];
  const { data } = await stripe.disputes.list({ payment_intent: intent.id, limit: DISPUTES_MAX });
  return data;
}

function toState(session: Stripe.Checkout.Session, disputes: readonly Stripe.Dispute[]): CardState {
  const intent = expanded(session.payment_intent);
  const charge = expanded(intent?.latest_charge ?? null);
  const complete = session.status === "complete";
  const paid = complete && session.payment_status === "paid";
  const sum = (wanted: (status: string) => boolean) =>
    disputes.reduce((total, { status, amount }) => (wanted(status) ? total + BigInt(amount) : total), 0n);
  return {
    sessionId: session.id,
    paymentId: session.client_reference_id,
    url: session.url,
    status: statusOf(session),
    paid,
    failed: complete && !paid && (intent?.status === "canceled" || intent?.status === "requires_payment_method"),
    amountMinor: BigInt(session.amount_total ?? 0),
    currency: session.currency ?? "",
    paymentIntent: intent?.id ?? (typeof session.payment_intent === "string" ? session.payment_intent : null),
    refundedMinor: BigInt(charge?.amount_refunded ?? 0),
    contestedMinor: sum((status) => CONTESTED.has(status)),
    lostMinor: sum((status) => status === "lost"),
    // Lists are newest first; what was lost once stays lost.
    disputeStatus: disputes.some(({ status }) => status === "lost") ? "lost" : (disputes[0]?.status ?? null),
  };
}

/** A status that we don't know is no end: it is asked for again. */
function statusOf({ status }: Stripe.Checkout.Session): CardState["status"] {
  if (status === "complete") return "complete";
  return status === "expired" ? "expired" : "open";
}

function expanded<Value extends object>(value: string | Value | null): Value | null {
  return typeof value === "string" ? null : value;
}

interface SignedBody {
  readonly body: Uint8Array;
  readonly signature: string;
  readonly secret: string;
  readonly nowMs: number;
}

async function verified(stripe: Stripe, signed: SignedBody): Promise<Stripe.Event | null> {
  const { body, signature, secret, nowMs } = signed;
  try {
    const text = new TextDecoder().decode(body);
    const age = NOTICE_AGE_MAX_SECONDS;
    return await stripe.webhooks.constructEventAsync(text, signature, secret, age, undefined, nowMs);
  } catch (error) {
    // Anything but a signature that was checked and matched is no signature, however the library puts it.
    if (error instanceof SyntaxError) throw error;
    return null;
  }
}

/** Only what a notice is about is taken from it; how things stand is asked for. */
function toNotice({ id, type, data }: Stripe.Event): CardNotice | null {
  const object = data.object as {
    client_reference_id?: string | null;
    payment_intent?: string | { id: string } | null;
  };
  if (SESSION_NOTICES.has(type)) {
    return object.client_reference_id ? { id, type, subject: object.client_reference_id } : null;
  }
  if (!INTENT_NOTICES.has(type) || !object.payment_intent) return null;
  const { payment_intent: intent } = object;
  return { id, type, subject: typeof intent === "string" ? intent : intent.id };
}

/** Their errors as ours. What they say goes into the log, never to the caller. */
async function asking<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Error) || !("type" in error) || !String(error.type).startsWith("Stripe")) throw error;
    throw new CardError(kindOf(error), error.message, error);
  }
}

function kindOf(error: Error): CardErrorKind {
  const status = "statusCode" in error && typeof error.statusCode === "number" ? error.statusCode : 0;
  return status >= 400 && status < 500 && status !== 409 && status !== 429 ? "refused" : "down";
}
