/**
 * Stripe as far as card payments need it, with a memory: what a payer, a bank or an operator does changes what is
 * answered later, and makes signed events. Requests are answered as by the API: form bodies, idempotency keys, errors.
 */
import { createHmac } from "node:crypto";
import { Hono } from "hono";

export const WEBHOOK_SECRET = "whsec_test_secret";

interface Session {
  readonly id: string;
  status: "open" | "complete" | "expired";
  payment_status: "unpaid" | "paid";
  payment_intent: string | null;
  amount_total: number;
  currency: string;
  readonly client_reference_id: string | null;
  readonly expires_at: number;
}

interface Charge {
  readonly intent: string;
  amount_refunded: number;
  readonly disputes: { id: string; amount: number; status: string }[];
}

export interface StripeEvent {
  readonly id: string;
  readonly object: "event";
  readonly type: string;
  readonly data: { readonly object: Record<string, unknown> };
}

/** What goes wrong with the next requests: a status, or the answer comes after the work was done and is lost. */
export type StripeFault = number | "lost" | "hang";

export class FakeStripe {
  readonly sessions = new Map<string, Session>();
  readonly requests: { method: string; path: string; idempotencyKey: string | null; body: URLSearchParams }[] = [];
  readonly faults: StripeFault[] = [];
  /** What is wrong with every request, for as long as it is set. */
  down: StripeFault | null = null;
  /** Small, so that lists have several pages. */
  pageLimit = 2;
  readonly app = new Hono();
  readonly #charges = new Map<string, Charge>();
  readonly #answers = new Map<string, { body: string; answer: unknown }>();
  #number = 0;

  constructor() {
    this.app.use("*", async (c, next) => {
      const body = new URLSearchParams(await c.req.raw.clone().text());
      const idempotencyKey = c.req.header("idempotency-key") ?? null;
      this.requests.push({ method: c.req.method, path: c.req.path, idempotencyKey, body });
      const fault = this.faults.shift() ?? this.down;
      if (typeof fault === "number")
        return c.json({ error: { type: "api_error", message: `fault ${fault}` } }, fault as 500);
      if (fault === "hang") await new Promise(() => undefined);
      if (c.req.header("authorization") !== "Bearer sk_test_fake") {
        return c.json({ error: { type: "invalid_request_error", message: "Invalid API Key" } }, 401);
      }
      await next();
      if (fault === "lost") c.res = Response.json({ error: { type: "api_error", message: "lost" } }, { status: 500 });
    });
    this.app.post("/v1/checkout/sessions", async (c) => {
      const text = await c.req.text();
      return this.#once(c.req.header("idempotency-key"), text, () => this.#create(new URLSearchParams(text)));
    });
    this.app.get("/v1/checkout/sessions", (c) => {
      const { payment_intent, status, starting_after } = c.req.query();
      const newestFirst = [...this.sessions.values()].reverse();
      const rest = newestFirst.slice(newestFirst.findIndex(({ id }) => id === starting_after) + 1);
      const found = rest.filter(
        (one) =>
          (payment_intent === undefined || one.payment_intent === payment_intent) &&
          (status === undefined || one.status === status),
      );
      const data = found.slice(0, this.pageLimit).map((session) => this.#show(session));
      return c.json({ object: "list", has_more: found.length > this.pageLimit, data });
    });
    this.app.get("/v1/checkout/sessions/:id", (c) => {
      const session = this.sessions.get(c.req.param("id"));
      return session === undefined ? c.json(missing("session"), 404) : c.json(this.#show(session));
    });
    this.app.post("/v1/checkout/sessions/:id/expire", (c) => {
      const session = this.sessions.get(c.req.param("id"));
      if (session === undefined) return c.json(missing("session"), 404);
      if (session.status !== "open") return c.json(refused("This Session is not open."), 400);
      session.status = "expired";
      return c.json(this.#show(session));
    });
    this.app.get("/v1/disputes", (c) => {
      const charge = this.#charges.get(c.req.query("payment_intent") ?? "");
      const data = [...(charge?.disputes ?? [])].reverse().map((dispute) => ({ object: "dispute", ...dispute }));
      return c.json({ object: "list", has_more: false, data });
    });
  }

  /** The same key is the same answer; another request under it is an error. */
  #once(key: string | undefined, body: string, work: () => unknown): Response {
    const known = key === undefined ? undefined : this.#answers.get(key);
    if (known !== undefined && known.body !== body) {
      return Response.json({ error: { type: "idempotency_error", message: "other parameters" } }, { status: 400 });
    }
    const answer = known?.answer ?? work();
    if (key !== undefined) this.#answers.set(key, { body, answer });
    return Response.json(answer);
  }

  #create(form: URLSearchParams): unknown {
    this.#number++;
    const session: Session = {
      id: `cs_test_${this.#number}`,
      status: "open",
      payment_status: "unpaid",
      payment_intent: null,
      amount_total: Number(form.get("line_items[0][price_data][unit_amount]")),
      currency: form.get("line_items[0][price_data][currency]") ?? "",
      client_reference_id: form.get("client_reference_id"),
      expires_at: Number(form.get("expires_at")),
    };
    this.sessions.set(session.id, session);
    return this.#show(session);
  }

  #show(session: Session): Record<string, unknown> {
    const url = session.status === "open" ? `https://checkout.stripe.com/c/pay/${session.id}` : null;
    return { object: "checkout.session", ...session, url, payment_intent: this.#intent(session) };
  }

  #intent({ payment_intent: id, payment_status }: Session): Record<string, unknown> | null {
    if (id === null) return null;
    const charge = this.#charges.get(id);
    const latest = charge && {
      object: "charge",
      id: `ch_${id}`,
      amount_refunded: charge.amount_refunded,
      disputed: charge.disputes.length > 0,
    };
    const status = payment_status === "paid" ? "succeeded" : "processing";
    return { object: "payment_intent", id, status, latest_charge: latest ?? null };
  }

  #session(paymentId: string): Session {
    const found = [...this.sessions.values()].find((session) => session.client_reference_id === paymentId);
    if (found === undefined) throw new Error(`no session was opened for ${paymentId}`);
    return found;
  }

  #charge(paymentId: string): Charge {
    const charge = this.#charges.get(this.#session(paymentId).payment_intent ?? "");
    if (charge === undefined) throw new Error(`${paymentId} was not paid`);
    return charge;
  }

  event(type: string, object: Record<string, unknown>): StripeEvent {
    this.#number++;
    return { id: `evt_${this.#number}`, object: "event", type, data: { object } };
  }

  #sessionEvent(type: string, session: Session): StripeEvent {
    return this.event(type, { ...this.#show(session), payment_intent: session.payment_intent });
  }

  /** The payer pays on the page. */
  pay(paymentId: string): StripeEvent {
    const session = this.#session(paymentId);
    if (session.status !== "open") throw new Error("the page is closed");
    Object.assign(session, { status: "complete", payment_status: "paid", payment_intent: `pi_${session.id}` });
    const intent = session.payment_intent ?? "";
    this.#charges.set(intent, { intent, amount_refunded: 0, disputes: [] });
    return this.#sessionEvent("checkout.session.completed", session);
  }

  /** The payer chose a way that takes days. */
  payLater(paymentId: string): StripeEvent {
    const session = this.#session(paymentId);
    Object.assign(session, { status: "complete", payment_intent: `pi_${session.id}` });
    return this.#sessionEvent("checkout.session.completed", session);
  }

  arrive(paymentId: string): StripeEvent {
    const session = this.#session(paymentId);
    session.payment_status = "paid";
    const intent = session.payment_intent ?? "";
    this.#charges.set(intent, { intent, amount_refunded: 0, disputes: [] });
    return this.#sessionEvent("checkout.session.async_payment_succeeded", session);
  }

  /** The page asks for other money than we did, as a wrong setting there could. */
  tamper(paymentId: string, change: Partial<Pick<Session, "amount_total" | "currency">>): void {
    Object.assign(this.#session(paymentId), change);
  }

  refund(paymentId: string, cents: number): StripeEvent {
    const charge = this.#charge(paymentId);
    charge.amount_refunded += cents;
    return this.event("charge.refunded", { object: "charge", payment_intent: charge.intent });
  }

  failRefund(paymentId: string, cents: number): StripeEvent {
    const charge = this.#charge(paymentId);
    charge.amount_refunded -= cents;
    return this.event("refund.failed", { object: "refund", payment_intent: charge.intent });
  }

  dispute(paymentId: string, cents: number, status = "needs_response"): StripeEvent {
    const charge = this.#charge(paymentId);
    charge.disputes.push({ id: `du_${++this.#number}`, amount: cents, status });
    return this.event("charge.dispute.created", { object: "dispute", payment_intent: charge.intent });
  }

  decide(paymentId: string, status: "won" | "lost" | "warning_closed"): StripeEvent {
    const charge = this.#charge(paymentId);
    for (const dispute of charge.disputes) if (!["won", "lost"].includes(dispute.status)) dispute.status = status;
    return this.event("charge.dispute.closed", { object: "dispute", payment_intent: charge.intent });
  }
}

const refused = (message: string) => ({ error: { type: "invalid_request_error", message } });
const missing = (what: string) => refused(`No such ${what}`);

/** The header with which Stripe signs a body, as its documentation says and apart from its library. */
export function signatureOf(body: string, atMs: number, secret = WEBHOOK_SECRET): string {
  const seconds = Math.floor(atMs / 1000);
  return `t=${seconds},v1=${createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`;
}
