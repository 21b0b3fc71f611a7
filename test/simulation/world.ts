/** Everything of one run: time, chain, machines, database, and the server's processes that die and come back. */
import type { Settings } from "../../api/settings.ts";
import { readSettings } from "../../api/settings.ts";
import { Agent } from "./agent.ts";
import { checkAlways, type Violation } from "./always.ts";
import { SimulatedCards } from "./cards.ts";
import { SimulatedChain } from "./chain.ts";
import type { ApiRequest, ApiResponse, Network } from "./client.ts";
import { Cloud } from "./cloud.ts";
import { collectGarbage } from "./collect-garbage.ts";
import type { SimulatedDatabase } from "./database.ts";
import { type Faults, NO_FAULTS } from "./faults.ts";
import { Machines } from "./machines.ts";
import { buildNetwork, type SimulatedNode } from "./network.ts";
import { type Fate, SimulatedProcess } from "./process.ts";
import { SeededRandom } from "./random.ts";
import type { Renter, Sent } from "./renter.ts";
import { Server } from "./server.ts";
import { SIMULATED_LIMITS, type Stage } from "./stage.ts";
import { Timeline } from "./timeline.ts";
import { runTreasury } from "./treasury.ts";
import { Wallet } from "./wallet.ts";

const START_MS = Date.UTC(2027, 0, 1);
const RESTART_MS = { least: 200, most: 15_000 };
const TASK_POLL_MS = 4_000;
const RENTER_POLL_SECONDS = { least: 10, most: 30 };
const CLIENT_TIMEOUT_MS = 30_000;
const HTTP_LATENCY_MS = 30;
const TREASURY_LAMPORTS = 100_000_000_000n;
const TREASURY_FLOAT_MICRO_USDC = 100_000_000n;
const STEPS_MAX = 400_000;
const DISPUTE_MS_MAX = 600_000;

export interface WorldOptions {
  readonly seed: string;
  readonly stage: Stage;
  readonly faults: Faults;
  readonly processes: number;
  /** Decides over calls of the processes, and hears of other rates when the storm is over. */
  readonly fate: (random: SeededRandom, count: (fault: string) => void, world: World) => Fate & { faults?: Faults };
  readonly settings?: Partial<Settings>;
  /** How often processes look for due tasks, and how patient renters are between two looks. */
  readonly taskPollMs?: number;
  readonly renterPollSeconds?: { readonly least: number; readonly most: number };
  /** Tables are emptied in less time, and rows may lie in another order than in another run. */
  readonly isQuick?: boolean;
  /** Whether some of the machines have agents; the seed decides when absent. */
  readonly withAgents?: boolean;
  /** Whether the books are audited, receipts signed and their days anchored, as in production. */
  readonly isAudited?: boolean;
  /** How seldom processes look for due tasks while no renter is about; as often as otherwise when absent. */
  readonly idlePollMs?: number;
  /** Banks are told of disputes, and decide them, within so long. */
  readonly disputeMsMax?: number;
  readonly stepsMax?: number;
}

export class World {
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly seed: string;
  readonly database: SimulatedDatabase;
  readonly chain: SimulatedChain;
  readonly machines: Machines;
  readonly cloud: Cloud;
  readonly cards: SimulatedCards;
  readonly nodes: readonly SimulatedNode[];
  readonly settings: Settings;
  readonly renterPollSeconds: { readonly least: number; readonly most: number };
  /** How often each fault was injected. */
  readonly injected = new Map<string, number>();
  readonly logged = new Map<string, number>();
  readonly violations: Violation[] = [];
  readonly renters: Renter[] = [];
  /** What the treasury's owner has paid in. */
  readonly float: Sent;
  readonly disputeMsMax: number;
  readonly #fate: Fate & { faults?: Faults };
  readonly #stepsMax: number;
  readonly #servers: Server[] = [];
  #treasury: SimulatedProcess | null = null;
  #faults: Faults;
  #generation = 0;

  static async open(options: WorldOptions): Promise<World> {
    collectGarbage();
    await options.stage.database.empty(options.isQuick ?? false);
    const random = new SeededRandom(options.seed);
    const { withAgents = random.stream("agents").chance(0.5) } = options;
    const nodes = await buildNetwork(options.stage.database.direct, random.stream("network"), START_MS, withAgents);
    const world = new World(options, random, nodes);
    await world.#nameSuppliersWallets();
    for (const node of nodes) world.#startAgent(node);
    for (let index = 0; index < options.processes; index++) world.#boot(index);
    world.#bootTreasury();
    return world;
  }

  private constructor(options: WorldOptions, random: SeededRandom, nodes: readonly SimulatedNode[]) {
    this.timeline = new Timeline(START_MS);
    this.random = random;
    this.seed = options.seed;
    this.database = options.stage.database;
    this.nodes = nodes;
    this.#faults = options.faults;
    this.chain = new SimulatedChain(this.timeline, random.stream("chain"), this.count);
    this.machines = new Machines(this.timeline);
    const faults = () => this.#faults;
    this.cloud = new Cloud(this.timeline, random.stream("cloud"), this.machines, faults, this.count);
    const toServers = this.networkFor("the card processor");
    this.cards = new SimulatedCards(this.timeline, random.stream("cards"), toServers, faults, this.count);
    const { signer, sponsor } = options.stage;
    this.settings = {
      ...readSettings({
        VOLLEY_QUOTE_KEYS: "k".repeat(43),
        VOLLEY_SECRET_KEY: "s".repeat(43),
        ...(options.isAudited ? { VOLLEY_RECEIPT_KEYS: "A".repeat(43) } : {}),
        SOLANA_RPC_URL: "http://chain.simulated",
        USDC_MINT: this.chain.now.usdcMint,
        VOLLEY_TREASURY_ADDRESS: signer.address,
        VOLLEY_SPONSOR_ADDRESS: sponsor.address,
        VOLLEY_CHAIN_POLL_MS: "4000",
        VOLLEY_MARKET_REFRESH_MS: "40000",
        VOLLEY_HEARTBEAT_INTERVAL_SECONDS: "15",
        VOLLEY_PAYMENT_LIFETIME_SECONDS: "90",
        VOLLEY_REFUND_DELAY_SECONDS: "60",
        VOLLEY_TOPUP_MIN_USDC: "0.000001",
        VOLLEY_CARD_HOLD_SECONDS: "60",
        VOLLEY_PAYOUT_MIN_USDC: "0.000001",
        VOLLEY_PAYOUT_INTERVAL_SECONDS: "120",
        VOLLEY_PROVISIONING_TIMEOUT_SECONDS: "120",
        VOLLEY_RATE_LIMIT_PER_MINUTE: "1000000",
        VOLLEY_HELD_GPUS_PER_CALLER_PERCENT: "100",
        VOLLEY_HELD_GPUS_PERCENT: "100",
      }),
      ...options.settings,
    };
    const isAudited = options.isAudited ?? false;
    this.disputeMsMax = options.disputeMsMax ?? DISPUTE_MS_MAX;
    this.#stepsMax = options.stepsMax ?? STEPS_MAX;
    const taskPollMs = options.taskPollMs ?? TASK_POLL_MS;
    this.renterPollSeconds = options.renterPollSeconds ?? RENTER_POLL_SECONDS;
    this.#fate = options.fate(random.stream("fate"), this.count, this);
    this.#outside = {
      database: this.database,
      chain: this.chain,
      supplier: this.cloud,
      cards: this.cards,
      signer,
      sponsor,
      settings: this.settings,
      treasurySettings: { ...this.settings, limits: SIMULATED_LIMITS, anchors: isAudited },
      isAudited,
      taskPollMs: () => (this.#isIdle ? (options.idlePollMs ?? taskPollMs) : taskPollMs),
      faults,
      onLog: (level: "warn" | "error", message: string, fields: unknown) => this.#onLog(level, message, fields),
    };
    // The treasury's token account exists, and the treasury can pay fees.
    const opener = new Wallet(`${options.seed}/opener`, this.chain, signer.address);
    opener.fund(TREASURY_FLOAT_MICRO_USDC);
    opener.createTreasuryAccount();
    this.chain.now.faucet({ address: signer.address, lamports: TREASURY_LAMPORTS });
    this.chain.now.faucet({ address: sponsor.address, lamports: TREASURY_LAMPORTS });
    // Money of its own, from which it pays what a fork has taken away after it was used.
    const { signature } = opener.pay([{ amountMicroUsdc: TREASURY_FLOAT_MICRO_USDC, references: [] }]);
    this.float = { signature, reference: null, amountMicroUsdc: TREASURY_FLOAT_MICRO_USDC };
  }
  readonly #outside: ConstructorParameters<typeof Server>[1];

  get faults(): Faults {
    return this.#faults;
  }

  get #isIdle(): boolean {
    return this.renters.every(({ outcome, isAbout }) => !isAbout || outcome !== "unfinished");
  }

  readonly count = (fault: string): void => {
    this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
  };

  fail(rule: string, detail: string): void {
    this.timeline.note(`VIOLATION ${rule}: ${detail}`);
    this.violations.push({ rule, detail });
  }

  /** Lets go of everything that would stay in memory. */
  close(): void {
    for (const server of this.#servers) server.process.close();
    this.#treasury?.close();
  }

  /** From here on other things go wrong; what processes do to themselves stays as it was. */
  weather(faults: Faults): void {
    this.#faults = faults;
  }

  /** From here on nothing goes wrong any more. What has begun may end. */
  calm(): void {
    this.timeline.note("calm");
    this.#faults = NO_FAULTS;
    this.#fate.faults = NO_FAULTS;
  }

  /** The network between a renter and whatever process the balancer picks. */
  networkFor(renter: string): Network {
    const random = this.random.stream(`network of ${renter}`);
    return async (request) => {
      const faults = this.#faults;
      await this.timeline.sleep(random.whole(0, HTTP_LATENCY_MS));
      if (random.chance(faults.httpLostRequest)) {
        this.count("http lostRequest");
        await this.timeline.sleep(CLIENT_TIMEOUT_MS);
        throw new Error("timeout");
      }
      const server = random.pick(this.#servers);
      if (!server.isListening) throw new Error("connection refused");
      if (random.chance(faults.httpDuplicated)) {
        this.count("http duplicated");
        // The twin's answer goes nowhere, and it may die with its process.
        server.handle(request, renter).catch(() => undefined);
      }
      const response = await this.#withTimeout(server.handle(request, renter));
      if (random.chance(faults.httpLostResponse)) {
        this.count("http lostResponse");
        await this.timeline.sleep(CLIENT_TIMEOUT_MS);
        throw new Error("timeout");
      }
      await this.timeline.sleep(random.whole(0, HTTP_LATENCY_MS));
      this.#noteAnswer(renter, request, response);
      return response;
    };
  }

  /** Steps until the condition holds. False when it did not within the limit of virtual time. */
  async runUntil(condition: () => boolean | Promise<boolean>, limitMs: number, everyMs = 1_000): Promise<boolean> {
    const endMs = this.timeline.nowMs + limitMs;
    let askAtMs = this.timeline.nowMs;
    for (;;) {
      if (this.timeline.nowMs >= askAtMs && !this.database.isBusy) {
        if (await condition()) return true;
        askAtMs = this.timeline.nowMs + everyMs;
      }
      if (this.timeline.nowMs > endMs || this.violations.length > 0) return false;
      if (this.timeline.steps > this.#stepsMax) {
        this.fail("the run comes to an end", `${this.#stepsMax} steps`);
        return false;
      }
      if (!(await this.timeline.step())) return condition();
    }
  }

  /** Checks what must hold between any two transactions. */
  async checkNow(): Promise<void> {
    if (this.database.isBusy) return;
    for (const { rule, detail } of await checkAlways(this.database.direct)) this.fail(rule, detail);
    for (const { rule, detail } of await this.machines.check(this.database.direct)) this.fail(rule, detail);
  }

  /** Wallets that can receive, for what suppliers earn. */
  async #nameSuppliersWallets(): Promise<void> {
    const found = await this.database.direct<{ id: string }[]>`SELECT id FROM suppliers ORDER BY id`;
    for (const { id } of found) {
      const wallet = new Wallet(`${this.seed}/${id}`, this.chain, this.settings.treasuryAddress);
      wallet.fund(1n);
      await this.database.direct`UPDATE suppliers SET payout_address = ${wallet.address} WHERE id = ${id}`;
    }
  }

  #startAgent({ id: nodeId, agentKey: key }: SimulatedNode): void {
    if (key === null) return;
    const name = `agent ${nodeId}`;
    const random = this.random.stream(name);
    const network = this.networkFor(name);
    new Agent({ nodeId, key }, network, this.timeline, random, this.machines, () => this.#faults, this.count).start();
  }

  /** A process of the server. It is replaced when it dies. */
  #boot(index: number): void {
    const process = this.#launch(String.fromCharCode(97 + index), () => this.#boot(index));
    const server = new Server(process, this.#outside);
    this.#servers[index] = server;
    this.#watch(process, server.run());
  }

  /** The process that holds the key. */
  #bootTreasury(): void {
    const process = this.#launch("treasury", () => this.#bootTreasury());
    this.#treasury = process;
    this.#watch(process, runTreasury(process, this.#outside));
  }

  #launch(role: string, again: () => void): SimulatedProcess {
    const name = `${role}${++this.#generation}`;
    const random = this.random.stream(`process ${name}`);
    const skewMs = this.#faults.clockSkewMs;
    const process = new SimulatedProcess(name, this.timeline, random, this.#fate, skewMs, async () => {
      await this.database.processDied(process);
      this.timeline.after(this.random.whole(RESTART_MS.least, RESTART_MS.most), again);
    });
    this.timeline.note(`${name} starts`);
    return process;
  }

  /** A process that can't start dies of it. */
  #watch(process: SimulatedProcess, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!process.isAlive) return;
      this.timeline.note(`${process.name} could not start: ${error instanceof Error ? error.message : error}`);
      this.timeline.after(0, () => process.crash());
    });
  }

  async #withTimeout(answer: Promise<ApiResponse>): Promise<ApiResponse> {
    return await new Promise((resolve, reject) => {
      const timer = this.timeline.after(CLIENT_TIMEOUT_MS, () => reject(new Error("timeout")));
      answer.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  #noteAnswer(renter: string, request: ApiRequest, response: ApiResponse): void {
    const problem = response.status < 300 ? "" : ` ${(response.body as { code?: string }).code}`;
    this.timeline.note(`${renter} ${request.method} ${request.path.slice(0, 60)} → ${response.status}${problem}`);
    if (response.status >= 500) this.count(`http ${response.status}`);
  }

  #onLog(level: "warn" | "error", message: string, fields: unknown): void {
    this.logged.set(`${level}: ${message}`, (this.logged.get(`${level}: ${message}`) ?? 0) + 1);
    const { error } = (fields ?? {}) as { error?: unknown };
    const causes: string[] = [];
    for (let current = error; current instanceof Error; current = current.cause)
      causes.push(current.message.slice(0, 300));
    this.timeline.note(`  ${level}: ${message}${causes.length > 0 ? ` (${causes.join(" ← ")})` : ""}`);
  }
}
