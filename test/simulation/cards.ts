/**
 * The card processor of a simulation: it remembers what payers and banks did, and tells of it late and twice. Of a
 * payment it may say nothing at all, since Volley asks for those each minute; of disputes it asks daily only, longer
 * than a run lasts.
 */
import { CardError, type CardProcessor, type CardState, type CheckoutOrder } from "../../api/ports/card-processor.ts";
import type { Network } from "./client.ts";
import type { Span } from "./cloud.ts";
import type { Faults } from "./faults.ts";
import type { SimulatedProcess } from "./process.ts";
import type { SeededRandom } from "./random.ts";
import type { Timeline } from "./timeline.ts";

const SIGNATURE = "signed by the simulated processor";
const NOTICE_DELAY_MS: Span = { least: 100, most: 90_000 };
const NOTICE_RETRY_MS: Span = { least: 10_000, most: 120_000 };
const CENT_MICRO_USDC = 10_000n;

type Mutable<Value> = { -readonly [Name in keyof Value]: Value[Name] };

export class SimulatedCards {
  readonly #byPayment = new Map<string, Mutable<CardState>>();
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #network: Network;
  readonly #faults: () => Faults;
  readonly #count: (fault: string) => void;
  #notices = 0;
  #undelivered = 0;

  constructor(
    timeline: Timeline,
    random: SeededRandom,
    network: Network,
    faults: () => Faults,
    count: (fault: string) => void,
  ) {
    this.#timeline = timeline;
    this.#random = random;
    this.#network = network;
    this.#faults = faults;
    this.#count = count;
  }

  /** What the processor has taken for the payment and still holds for us, all disputes decided. */
  keptMicroUsdc(paymentId: string): bigint {
    const state = this.#byPayment.get(paymentId);
    if (state === undefined || !state.paid) return 0n;
    return (state.amountMinor - state.refundedMinor - state.lostMinor) * CENT_MICRO_USDC;
  }

  /** What is still to come of what payers and banks have done. */
  get unfinished(): string[] {
    const contested = [...this.#byPayment.values()].filter(({ contestedMinor }) => contestedMinor > 0n);
    return [
      ...contested.map(({ sessionId }) => `dispute of ${sessionId} is undecided`),
      ...(this.#undelivered > 0 ? [`${this.#undelivered} card notices are on their way`] : []),
    ];
  }

  get paymentIds(): readonly string[] {
    return [...this.#byPayment.keys()];
  }

  /** The payer pays on the page. @returns false when it is closed */
  pay(paymentId: string): boolean {
    const state = this.#byPayment.get(paymentId);
    if (state?.status !== "open") return false;
    Object.assign(state, { status: "complete", paid: true, paymentIntent: `pi_${state.sessionId}` });
    this.#tell("checkout.session.completed", paymentId);
    return true;
  }

  /** The payer's bank takes all of it back, for now. */
  dispute(paymentId: string): void {
    this.#change(paymentId, (state) => ({ contestedMinor: state.amountMinor, disputeStatus: "needs_response" }));
    this.#tell("charge.dispute.created", paymentId);
  }

  decide(paymentId: string, outcome: "won" | "lost"): void {
    this.#change(paymentId, ({ contestedMinor }) => ({
      contestedMinor: 0n,
      lostMinor: outcome === "lost" ? contestedMinor : 0n,
      disputeStatus: outcome,
    }));
    this.#tell("charge.dispute.closed", paymentId);
  }

  openFor(process: SimulatedProcess): CardProcessor {
    const call = <Result>(label: string, effect: () => Result): Promise<Result> =>
      process.call(`cards ${label}`, effect, {
        rates: { lostRequest: this.#faults().cardsLostRequest, lostResponse: this.#faults().cardsLostResponse },
        lost: () => new CardError("down", "the card processor does not answer"),
        noticedAfterMs: 5_000,
      });
    return {
      open: (order) => call("open", () => this.#open(order)),
      read: (sessionId) => call("read", () => ({ ...this.#session(sessionId) })),
      expire: (sessionId) => call("expire", () => this.#expire(sessionId)),
      completed: async function* (this: SimulatedCards) {
        yield await call("completed", () => {
          const states = [...this.#byPayment.values()].filter(({ status }) => status === "complete");
          return states.map((state) => ({ ...state }));
        });
      }.bind(this),
      paymentOf: (intent) =>
        call("paymentOf", () => {
          const found = [...this.#byPayment].find(([, state]) => state.paymentIntent === intent);
          return found?.[0] ?? null;
        }),
      verify: async (body, signature) => {
        if (signature !== SIGNATURE) throw new CardError("signature", "it isn't by the simulated processor");
        return JSON.parse(new TextDecoder().decode(body));
      },
    };
  }

  #open({ paymentId, amountMinor }: CheckoutOrder): CardState {
    const known = this.#byPayment.get(paymentId);
    if (known !== undefined) return { ...known };
    const sessionId = `cs_${paymentId}`;
    const state: CardState = {
      sessionId,
      paymentId,
      url: `http://cards.simulated/${sessionId}`,
      status: "open",
      paid: false,
      failed: false,
      amountMinor,
      currency: "usd",
      paymentIntent: null,
      refundedMinor: 0n,
      contestedMinor: 0n,
      lostMinor: 0n,
      disputeStatus: null,
    };
    this.#byPayment.set(paymentId, state);
    return { ...state };
  }

  #expire(sessionId: string): CardState {
    const state = this.#session(sessionId);
    if (state.status === "open") state.status = "expired";
    return { ...state };
  }

  #session(sessionId: string): Mutable<CardState> {
    const state = this.#byPayment.get(sessionId.slice("cs_".length));
    if (state === undefined) throw new CardError("refused", "there is no such session");
    return state;
  }

  #change(paymentId: string, change: (state: CardState) => Partial<CardState>): void {
    const state = this.#byPayment.get(paymentId);
    if (state === undefined) throw new Error(`nothing was opened for ${paymentId}`);
    Object.assign(state, change(state));
  }

  /** By the payment's own id or the processor's, as real notices do. */
  #tell(type: string, paymentId: string): void {
    const intent = this.#byPayment.get(paymentId)?.paymentIntent ?? paymentId;
    const subject = type.startsWith("checkout") ? paymentId : intent;
    const notice = { id: `evt_${++this.#notices}`, type, subject };
    const { noticeLost, noticeDoubled } = this.#faults();
    if (type.startsWith("checkout") && this.#random.chance(noticeLost)) {
      this.#count("card notice never sent");
      return;
    }
    this.#deliver(notice);
    if (!this.#random.chance(noticeDoubled)) return;
    this.#count("card notice doubled");
    this.#deliver(notice);
  }

  #deliver(notice: object, delay = NOTICE_DELAY_MS): void {
    this.#undelivered++;
    this.#timeline.after(this.#random.whole(delay.least, delay.most), () => {
      const request = {
        method: "POST" as const,
        path: "/v1/webhooks/stripe",
        headers: { "stripe-signature": SIGNATURE },
        body: notice,
      };
      const again = () => this.#deliver(notice, NOTICE_RETRY_MS);
      this.#network(request)
        .then((answer) => {
          if (answer.status >= 300) again();
        }, again)
        .finally(() => {
          this.#undelivered--;
        });
    });
  }
}
