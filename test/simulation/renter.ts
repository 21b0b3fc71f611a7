/** One renter and one rental, from quote to the last refund, with a temper drawn from the seed. */

import { isDeepStrictEqual } from "node:util";
import { formatUsdc, parseUsdc } from "@volley/schema/money";
import type { Balance, Challenge, Session } from "@volley/schema/resources/account";
import type { Cluster, ClusterExtension } from "@volley/schema/resources/cluster";
import type { Quote } from "@volley/schema/resources/market";
import type { Payment, Refund } from "@volley/schema/resources/payment";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import type { Requirements } from "../x402/payment.ts";
import { ApiProblem, type ApiRequest, Client, GaveUp } from "./client.ts";
import { GPUS } from "./network.ts";
import type { SeededRandom } from "./random.ts";
import { Wallet } from "./wallet.ts";
import type { World } from "./world.ts";

const MICRO_USDC = 1_000_000n;
const PURSE_MICRO_USDC = 1_000_000_000n;
const DOUBLE_CLICKS = 50;
const CLAIM_TRIES = 3;
const SIGN_IN_TRIES = 5;

export const PAYING = {
  exact: 10,
  inTwoParts: 2,
  short: 2,
  over: 2,
  twice: 1,
  late: 2,
  tooLate: 1,
  wrongMintFirst: 1,
  failedFirst: 1,
  poisonFirst: 1,
  withForeignReference: 1,
  withoutReferenceFirst: 1,
  onFork: 1,
  onForkThenExact: 1,
  never: 1,
  fromBalance: 6,
  fromCard: 3,
  fromCardThenDisputes: 2,
  x402: 4,
  x402ForTwo: 1,
  x402AndMovesAway: 1,
} as const;
export type Paying = keyof typeof PAYING;

/** Refusals of a second click, or of a click that comes too early. */
const NOTHING_LEFT: ReadonlySet<string> = new Set(["cluster_ended", "nothing_to_refund", "account_frozen"]);

/** Those who hand a signed transaction over and leave the rest to Volley. */
const X402: ReadonlySet<Paying> = new Set(["x402", "x402ForTwo", "x402AndMovesAway"]);

/** How a renter with an account fills its balance before it rents. */
const TOPPING_UP = ["exact", "over", "inTwoParts", "late"] as const;

export const USING = {
  tearsDownEarly: 6,
  untilEnd: 3,
  extends: 2,
  extendsThenTearsDown: 2,
  extendsUnpaid: 1,
  vanishes: 2,
  tearsDownAtOnce: 2,
  tearsDownWhileStarting: 2,
} as const;
export type Using = keyof typeof USING;

export interface Character {
  readonly gpu: string;
  readonly nodes: number;
  readonly gpusPerNode: number;
  readonly durationSeconds: number;
  readonly paying: Paying;
  readonly using: Using;
  readonly refundTo: "wallet" | "otherWallet" | "credit" | "creditThenRefund";
  readonly doubleClicks: boolean;
}

export function drawCharacter(random: SeededRandom): Character {
  return {
    gpu: random.pick(GPUS),
    nodes: random.pick([1, 1, 1, 2, 2, 3]),
    gpusPerNode: random.pick([1, 1, 2]),
    durationSeconds: random.whole(60, 180),
    paying: random.weighted(PAYING),
    using: random.weighted(USING),
    refundTo: random.weighted({ wallet: 4, otherWallet: 2, credit: 1, creditThenRefund: 2 }),
    doubleClicks: random.chance(0.05),
  };
}

interface ReservingRequest extends ApiRequest {
  readonly idempotencyKey: string;
}

/** What this renter sent to the treasury; `payment` is the reference that it must count for. */
export interface Sent {
  readonly signature: string;
  readonly reference: string | null;
  readonly amountMicroUsdc: bigint;
}

export class Renter {
  readonly name: string;
  readonly character: Character;
  readonly sent: Sent[] = [];
  readonly wallet: Wallet;
  readonly refundAddress: string;
  /** Null until the answer to the reservation came. */
  cluster: Cluster | null = null;
  secret: string | null = null;
  quotedMicroUsdc = 0n;
  outcome = "unfinished";
  /** Has arrived, or is about to. */
  isAbout = true;
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #client: Client;
  readonly #otherWallet: Wallet;
  /** Of an account that fills its balance. */
  topupId: string | null = null;
  #keys = 0;
  /** Clusters that its one payment by x402 was taken for. */
  readonly #byX402 = new Set<string>();
  /** Of the account that has signed in. */
  #session: string | null = null;

  constructor(name: string, world: World, character: Character) {
    const treasury = world.settings.treasuryAddress;
    this.name = name;
    this.character = character;
    this.#world = world;
    this.#random = world.random.stream(name);
    this.#client = new Client(world.networkFor(name), world.timeline);
    this.wallet = new Wallet(`${world.seed}/${name}`, world.chain, treasury);
    this.#otherWallet = new Wallet(`${world.seed}/${name}/other`, world.chain, treasury);
    this.wallet.fund(PURSE_MICRO_USDC);
    this.#otherWallet.fund(1n);
    this.refundAddress = (character.refundTo === "otherWallet" ? this.#otherWallet : this.wallet).address;
  }

  /** Lives through the rental; never rejects. */
  async run(): Promise<void> {
    try {
      this.outcome = await this.#rent();
    } catch (error) {
      if (error instanceof ApiProblem) this.outcome = `refused: ${error.problem.code}`;
      else if (error instanceof GaveUp) this.outcome = "gave up";
      else throw error;
    }
    this.#world.timeline.note(`${this.name} is done: ${this.outcome}`);
  }

  get hasAccount(): boolean {
    return this.character.paying === "fromBalance" || this.paysByCard;
  }

  get paysByCard(): boolean {
    return this.character.paying === "fromCard" || this.character.paying === "fromCardThenDisputes";
  }

  get paysByX402(): boolean {
    return X402.has(this.character.paying);
  }

  /** Its payment may have been seen on a fork that nobody follows any more. */
  get mayPayOnFork(): boolean {
    return this.character.paying === "onFork" || this.character.paying === "onForkThenExact" || this.paysByX402;
  }

  /** The renter's cluster as the API tells it now. */
  async look(): Promise<Cluster> {
    try {
      return await this.#get<Cluster>(`/v1/clusters/${this.#id}`);
    } catch (error) {
      // A session ends after days.
      if (!this.hasAccount || !(error instanceof ApiProblem)) throw error;
      this.secret = await this.#signIn();
      return await this.#get<Cluster>(`/v1/clusters/${this.#id}`);
    }
  }

  get #id(): string {
    if (this.cluster === null) throw new Error("there is no cluster yet");
    return this.cluster.id;
  }

  async #rent(): Promise<string> {
    const { paying, using } = this.character;
    if (this.hasAccount) {
      const problem = await this.#fillBalance();
      if (problem !== null) return problem;
    }
    await this.#reserve();
    if (using === "tearsDownAtOnce" && this.#random.chance(0.5)) return await this.#tearDown();
    await this.#pay(paying);
    if (using === "tearsDownWhileStarting") {
      await this.#sleepSeconds(1, 20);
      return await this.#tearDown();
    }
    const running = await this.#waitFor((now) => now.status !== "awaiting_payment" && now.status !== "provisioning");
    if (running === null || running.status !== "running") return await this.#settle();
    return await this.#use(using);
  }

  async #quote(): Promise<Quote> {
    const { gpu, nodes, gpusPerNode, durationSeconds } = this.character;
    return await this.#client.send<Quote>({
      method: "POST",
      path: "/v1/quotes",
      body: { gpu, nodes, gpus_per_node: gpusPerNode, duration_seconds: durationSeconds },
    });
  }

  async #signIn(): Promise<string> {
    for (let tried = 1; ; tried++) {
      const challenge = await this.#client.send<Challenge>({
        method: "POST",
        path: "/v1/auth/challenge",
        body: { address: this.wallet.address, purpose: "sign_in" },
      });
      const signature = this.wallet.signMessage(challenge.message);
      try {
        const body = { nonce: challenge.nonce, signature };
        return (await this.#client.send<Session>({ method: "POST", path: "/v1/auth/session", body })).token;
      } catch (error) {
        // An answer was lost: the challenge is used, and nobody has its session.
        if (!(error instanceof ApiProblem) || error.problem.code !== "challenge_invalid" || tried === SIGN_IN_TRIES) {
          throw error;
        }
      }
    }
  }

  /** Signs in and pays twice the price into the balance. @returns why that came to nothing */
  async #fillBalance(): Promise<string | null> {
    this.#session = await this.#signIn();
    const price = parseUsdc((await this.#quote()).total.amount);
    const due = this.paysByCard ? MICRO_USDC * (1n + (2n * price) / MICRO_USDC) : 2n * price;
    const topup = await this.#client.send<Payment>({
      method: "POST",
      path: "/v1/account/topups",
      secret: this.#session,
      idempotencyKey: this.#newKey(),
      body: { amount: formatUsdc(due), ...(this.paysByCard ? { rail: "stripe" } : {}) },
    });
    this.topupId = topup.id;
    if (this.paysByCard) await this.#payByCard(topup);
    else await this.#payTopup(due, solanaPayOf(topup).reference);
    return await this.#waitForBalance(due, topup.id);
  }

  async #payByCard({ id, checkout_url: page }: Payment): Promise<void> {
    if (page === null) this.#fail("a card's payment has its page", id);
    await this.#sleepSeconds(0, 60);
    if (!this.#world.cards.pay(id)) this.#fail("a page is open for as long as its payment", id);
    const { paying } = this.character;
    if (paying !== "fromCardThenDisputes") return;
    // The bank may be told at any time, and decides at some other.
    const { disputeMsMax } = this.#world;
    this.#world.timeline.after(this.#random.whole(0, disputeMsMax), () => {
      this.#world.cards.dispute(id);
      const outcome = this.#random.pick(["won", "lost"] as const);
      this.#world.timeline.after(this.#random.whole(0, disputeMsMax), () => this.#world.cards.decide(id, outcome));
    });
  }

  async #payTopup(due: bigint, reference: string): Promise<void> {
    const how = this.#random.pick(TOPPING_UP);
    await this.#sleepSeconds(0, 10);
    if (how === "late") await this.#sleepSeconds(120, 300);
    const first = how === "inTwoParts" ? due / 3n : due;
    this.#send(how === "over" ? first + 1_000n : first, reference);
    if (how === "inTwoParts") {
      await this.#sleepSeconds(0, 30);
      this.#send(due - first, reference);
    }
  }

  async #waitForBalance(due: bigint, topupId: string): Promise<string | null> {
    const patience = this.character.paying === "fromCardThenDisputes" ? 50 : 200;
    for (let waits = 0; waits < patience; waits++) {
      const balance = await this.#client.send<Balance>({
        method: "GET",
        path: "/v1/account/balance",
        ...(this.#session === null ? {} : { secret: this.#session }),
      });
      if (parseUsdc(balance.available.amount) >= due) return null;
      await this.#patience();
    }
    if (this.character.paying === "fromCardThenDisputes") return "the bank took the top-up back";
    this.#fail("what is paid into a balance comes to be in it", topupId);
    return "the top-up never came";
  }

  async #reserve(): Promise<void> {
    const { refundTo, doubleClicks } = this.character;
    const quote = await this.#quote();
    this.quotedMicroUsdc = parseUsdc(quote.total.amount);
    const gives = !this.hasAccount && (refundTo === "wallet" || refundTo === "otherWallet");
    const unpaid: ReservingRequest = {
      method: "POST",
      path: "/v1/clusters",
      idempotencyKey: this.#newKey(),
      ...(this.#session === null ? {} : { secret: this.#session }),
      body: {
        quote_token: quote.token,
        ...(gives ? { refund_address: this.refundAddress } : {}),
        ...(this.hasAccount ? { payment: { rail: "balance" } } : {}),
        ...(this.paysByX402 ? { payment: { rail: "x402" } } : {}),
      },
    };
    const request = this.paysByX402 ? await this.#payByX402(unpaid) : unpaid;
    const clicks = doubleClicks ? DOUBLE_CLICKS : 1;
    const answers = await this.#all(clicks, () => this.#client.send<Cluster>(request));
    const [cluster] = answers;
    if (cluster === undefined) throw new GaveUp("reserve");
    for (const other of answers) this.#expectSame("reserve", cluster, other);
    const secret = this.#session ?? cluster.secret;
    if (secret === null) return this.#fail("an anonymous reservation answers with its secret", cluster.id);
    if (cluster.total.amount !== quote.total.amount) {
      this.#fail("a reservation costs exactly what was quoted", `${cluster.id}: ${cluster.total.amount}`);
    }
    this.cluster = cluster;
    this.secret = secret;
    if (this.paysByX402) this.#noteX402(cluster);
  }

  /** Asks what to pay, and signs it. @returns the same request with the payment */
  async #payByX402(request: ReservingRequest): Promise<ReservingRequest> {
    const refusal = await this.#client.send<Cluster>(request).then(
      () => null,
      (error: unknown) => error,
    );
    if (!(refusal instanceof ApiProblem) || refusal.problem.code !== "payment_required") {
      if (refusal !== null) throw refusal;
      this.#fail("nothing is reserved by x402 without a payment", this.quotedMicroUsdc.toString());
      throw new GaveUp("x402");
    }
    const { accepts } = (refusal.problem as { x402?: { accepts: Requirements[] } }).x402 ?? { accepts: [] };
    const [requirements] = accepts;
    if (requirements === undefined || BigInt(requirements.amount) !== this.quotedMicroUsdc) {
      this.#fail("x402 asks for what was quoted", JSON.stringify(accepts));
      throw new GaveUp("x402");
    }
    const paid = { ...request, headers: { "payment-signature": this.wallet.x402Payload(requirements) } };
    if (this.character.paying === "x402AndMovesAway") {
      this.#world.timeline.after(this.#random.whole(0, 4_000), () => {
        this.wallet.moveAway(this.#otherWallet.address, PURSE_MICRO_USDC);
      });
    }
    if (this.character.paying === "x402ForTwo") this.#reserveAgainWith(paid);
    return paid;
  }

  /** The same payment for another reservation, at the same time. */
  #reserveAgainWith(paid: ReservingRequest): void {
    const again = { ...paid, idempotencyKey: this.#newKey() };
    this.#client.send<Cluster>(again).then(
      (cluster) => this.#noteX402(cluster),
      (error: unknown) => {
        if (!(error instanceof ApiProblem) && !(error instanceof GaveUp)) throw error;
      },
    );
  }

  #noteX402({ id }: Cluster): void {
    this.#byX402.add(id);
    if (this.#byX402.size > 1) this.#fail("one payment by x402 is one cluster", [...this.#byX402].join(", "));
  }

  async #pay(paying: Paying): Promise<void> {
    const payment = this.cluster?.payment;
    if (payment === undefined || paying === "never" || this.hasAccount || this.paysByX402) return;
    const due = parseUsdc(payment.amount.amount);
    const { reference } = solanaPayOf(payment);
    const some = (): bigint => 1n + BigInt(Math.floor(this.#random.fraction() * Number(due - 1n)));
    await this.#sleepSeconds(0, 10);
    switch (paying) {
      case "exact":
        return this.#send(due, reference);
      case "inTwoParts": {
        const first = some();
        this.#send(first, reference);
        await this.#sleepSeconds(0, 30);
        return this.#send(due - first, reference);
      }
      case "short":
        return this.#send(due - 1n, reference);
      case "over":
        return this.#send(due + some(), reference);
      case "twice":
        this.#send(due, reference);
        await this.#sleepSeconds(0, 60);
        return this.#send(due, reference);
      case "late":
        await this.#sleepSeconds(80, 110);
        return this.#send(due, reference);
      case "tooLate":
        await this.#sleepSeconds(120, 300);
        return this.#send(due, reference);
      case "wrongMintFirst":
        this.wallet.payWithOtherMint({ amountMicroUsdc: due, references: [reference] });
        await this.#sleepSeconds(1, 20);
        return this.#send(due, reference);
      case "failedFirst":
        this.wallet.payAndFail([reference]);
        await this.#sleepSeconds(0, 5);
        return this.#send(due, reference);
      case "poisonFirst":
        for (let index = 0; index < 5; index++) {
          if (this.#random.chance(0.5)) this.wallet.payAndFail([reference]);
          else this.#send(1n, reference);
        }
        return this.#send(due, reference);
      case "withForeignReference":
        return this.#payBesides(due, reference);
      case "onFork":
        return this.wallet.payOnFork({ amountMicroUsdc: due, references: [reference] });
      case "onForkThenExact":
        this.wallet.payOnFork({ amountMicroUsdc: due, references: [reference] });
        await this.#sleepSeconds(5, 60);
        return this.#send(due, reference);
      case "withoutReferenceFirst":
        this.#send(due, null);
        await this.#sleepSeconds(0, 10);
        return this.#send(due, reference);
    }
  }

  /** One transfer that names two payments of Volley's: it counts for the first. */
  #payBesides(due: bigint, reference: string): void {
    const other = this.#world.renters.find((renter) => renter !== this && renter.cluster !== null);
    const foreign = other?.cluster?.payment.solana_pay?.reference;
    const references = foreign === undefined ? [reference] : [reference, foreign];
    const { signature } = this.wallet.pay([{ amountMicroUsdc: due, references }]);
    this.sent.push({ signature, reference, amountMicroUsdc: due });
  }

  #send(amountMicroUsdc: bigint, reference: string | null): void {
    const references = reference === null ? [] : [reference];
    const { signature } = this.wallet.pay([{ amountMicroUsdc, references }]);
    this.sent.push({ signature, reference, amountMicroUsdc });
    this.#world.timeline.note(`${this.name} pays ${amountMicroUsdc} for ${reference ?? "nothing"}`);
  }

  async #use(using: Using): Promise<string> {
    const { durationSeconds } = this.character;
    switch (using) {
      case "extends":
      case "extendsUnpaid":
      case "extendsThenTearsDown":
        await this.#sleepSeconds(1, Math.floor(durationSeconds / 2));
        await this.#extend(using !== "extendsUnpaid");
        if (using !== "extendsThenTearsDown") return await this.#settle();
        await this.#sleepSeconds(1, durationSeconds);
        return await this.#tearDown();
      case "vanishes":
        return "vanished";
      case "untilEnd":
        return await this.#settle();
      default:
        await this.#sleepSeconds(0, durationSeconds);
        return await this.#tearDown();
    }
  }

  async #extend(pays: boolean): Promise<void> {
    try {
      const extension = await this.#client.send<ClusterExtension>({
        method: "POST",
        path: `/v1/clusters/${this.#id}/extend`,
        secret: this.#secret,
        idempotencyKey: this.#newKey(),
        body: { duration_seconds: this.#random.whole(60, 120) },
      });
      const payment: Payment | null = extension.payment;
      if (payment === null || !pays || this.hasAccount) return;
      await this.#sleepSeconds(0, 10);
      this.#send(parseUsdc(payment.missing.amount), solanaPayOf(payment).reference);
    } catch (error) {
      // The cluster may have ended in the meantime.
      if (!(error instanceof ApiProblem) && !(error instanceof GaveUp)) throw error;
    }
  }

  async #tearDown(): Promise<string> {
    const clicks = this.character.doubleClicks ? DOUBLE_CLICKS : 1;
    const key = this.#newKey();
    const answers = await this.#all(clicks, () =>
      this.#client.send<Cluster>({
        method: "DELETE",
        path: `/v1/clusters/${this.#id}`,
        secret: this.#secret,
        idempotencyKey: key,
      }),
    );
    const [first] = answers;
    for (const other of answers) if (first !== undefined) this.#expectSame("teardown", first, other);
    return await this.#settle();
  }

  /** Waits for the end, and for the money. */
  async #settle(): Promise<string> {
    const ended = await this.#waitFor((now) => ["stopped", "expired", "failed"].includes(now.status));
    if (ended === null) return "gave up waiting";
    if (this.character.refundTo === "creditThenRefund" || this.hasAccount) await this.#claimCredit();
    return ended.status_reason === null ? ended.status : `${ended.status}: ${ended.status_reason}`;
  }

  /** Money that came late may not have been seen yet, so a renter with nothing to claim asks again. */
  async #claimCredit(): Promise<void> {
    for (let tried = 0; tried < CLAIM_TRIES; tried++) {
      await this.#sleepSeconds(1, 60);
      const clicks = this.#random.chance(0.3) ? 3 : 1;
      const answers = await this.#all(clicks, () =>
        this.#client.send<Refund>({
          method: "POST",
          path: "/v1/refunds",
          secret: this.#secret,
          // Different keys on purpose: clicks in different windows.
          idempotencyKey: this.#newKey(),
          body: this.hasAccount ? { to: this.refundAddress } : { cluster_id: this.#id, to: this.refundAddress },
        }),
      );
      if (answers.length > 0) return;
    }
  }

  async #waitFor(done: (now: Cluster) => boolean): Promise<Cluster | null> {
    let last: Cluster["status"] = "awaiting_payment";
    for (let waits = 0; waits < 200; waits++) {
      const now = await this.look();
      if (ORDER[now.status] < ORDER[last]) this.#fail("a cluster's status only goes on", `${last} → ${now.status}`);
      last = now.status;
      if (done(now)) return now;
      await this.#patience();
    }
    return null;
  }

  /** Answers of those that got one; refusals and lost answers are left out. */
  async #all<Answer>(clicks: number, click: () => Promise<Answer>): Promise<Answer[]> {
    const results = await Promise.allSettled(Array.from({ length: clicks }, click));
    const unexpected = results.find(
      (result) =>
        result.status === "rejected" && !(result.reason instanceof ApiProblem) && !(result.reason instanceof GaveUp),
    );
    if (unexpected?.status === "rejected") throw unexpected.reason;
    const answers = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const [first] = results;
    if (answers.length === 0 && clicks === 1 && first?.status === "rejected" && first.reason instanceof ApiProblem) {
      if (!NOTHING_LEFT.has(first.reason.problem.code)) throw first.reason;
    }
    return answers;
  }

  async #get<Answer>(path: string): Promise<Answer> {
    return await this.#client.send<Answer>({ method: "GET", path, secret: this.#secret });
  }

  get #secret(): string {
    if (this.secret === null) throw new Error("there is no secret yet");
    return this.secret;
  }

  #newKey(): string {
    return `${this.name}-${++this.#keys}`;
  }

  #expectSame(what: string, one: Cluster, other: Cluster): void {
    if (isDeepStrictEqual(one, other)) return;
    this.#fail("a repeated request gets the same answer", `${what} ${one.id} ${other.id}`);
  }

  #fail(rule: string, detail: string): void {
    this.#world.fail(rule, `${this.name}: ${detail}`);
  }

  /** Between two looks at what has to come about. */
  async #patience(): Promise<void> {
    const { least, most } = this.#world.renterPollSeconds;
    await this.#sleepSeconds(least, most);
  }

  async #sleepSeconds(least: number, most: number): Promise<void> {
    await this.#world.timeline.sleep(this.#random.whole(least * 1000, most * 1000));
  }
}

const ORDER: Readonly<Record<Cluster["status"], number>> = {
  awaiting_payment: 0,
  provisioning: 1,
  running: 2,
  stopping: 3,
  stopped: 4,
  expired: 4,
  failed: 4,
};
