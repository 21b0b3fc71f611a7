/**
 * The whole API over loopback, on a database and a development chain of its own, with the real adapters: served by
 * this process, or by workerd, with the treasury's process beside it. Machines join through the API, with the real
 * agent.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKeyPairSignerFromPrivateKeyBytes, type KeyPairSigner } from "@solana/kit";
import { startAgent } from "@volley/agent/agent";
import { inProcessHints } from "../../api/adapters/in-process-hints.ts";
import { jsonLogger } from "../../api/adapters/json-logger.ts";
import { localScreening } from "../../api/adapters/local-screening.ts";
import { prometheusMetrics } from "../../api/adapters/prometheus-metrics.ts";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { systemClock } from "../../api/adapters/system-clock.ts";
import { rpcChainAt } from "../../api/chain/rpc.ts";
import type { Services } from "../../api/context.ts";
import { serve } from "../../api/entry/serve.ts";
import { type DevelopmentChainServer, startDevelopmentChain } from "../../api/local/chain/start-development-chain.ts";
import { openTokenAccount } from "../../api/local/open-token-account.ts";
import { startTreasuryProcess } from "../../api/local/treasury-process.ts";
import { newMarket } from "../../api/market/market.ts";
import { stripeCards } from "../../api/payments/stripe/stripe-cards.ts";
import { readSettings } from "../../api/settings.ts";
import { agentSupplier } from "../../api/supply/agent-supplier.ts";
import { issueEnrolmentToken } from "../../api/supply/issue-enrolment-token.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { until } from "./services.ts";

const SLOT_MS = 50;
const PAYER_MICRO_USDC = 1_000_000_000_000n;
const LAMPORTS = 100_000_000_000n;

export interface TestWorld {
  readonly database: TestDatabase;
  readonly chain: DevelopmentChainServer;
  /** Holds USDC to pay with. */
  readonly payer: KeyPairSigner;
  /** What configures the server: settings as variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Services of this process over the same database and chain. */
  readonly services: Services;
  /** What was logged at `warn` and above, parsed. */
  readonly log: Record<string, unknown>[];
  close(): Promise<void>;
}

/** A server over a world, wherever it runs. */
export interface TestApp extends TestWorld {
  readonly url: string;
  /** Joins this machine with so many `cpu` slots, run as plain processes. @returns its node id, once it is online */
  join(slots: number): Promise<string>;
}

export interface TestAppOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Somebody else who pays the fees of x402 payments. */
  readonly facilitatorUrl?: string;
}

async function writeKey(file: string): Promise<KeyPairSigner> {
  const secret = randomBytes(32);
  const signer = await createKeyPairSignerFromPrivateKeyBytes(secret);
  const publicBytes = new Uint8Array(await crypto.subtle.exportKey("raw", signer.keyPair.publicKey));
  await writeFile(file, JSON.stringify([...secret, ...publicBytes]), { mode: 0o600 });
  return signer;
}

export async function createTestWorld(options: TestAppOptions = {}): Promise<TestWorld> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "volley-app-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const database = await createTestDatabase();
  stack.defer(() => database.close());
  const chain = await startDevelopmentChain({ slotMs: SLOT_MS, slotsToFinalize: 4 });
  stack.defer(() => chain.close());

  const treasuryFile = join(folder, "treasury.json");
  const treasury = await writeKey(treasuryFile);
  const sponsorFile = join(folder, "sponsor.json");
  const sponsor = await writeKey(sponsorFile);
  const payer = await createKeyPairSignerFromPrivateKeyBytes(randomBytes(32));
  chain.chain.faucet({ address: payer.address, lamports: LAMPORTS, microUsdc: PAYER_MICRO_USDC });
  chain.chain.faucet({ address: treasury.address, lamports: LAMPORTS });
  chain.chain.faucet({ address: sponsor.address, lamports: LAMPORTS });

  const environment = {
    VOLLEY_QUOTE_KEYS: randomBytes(32).toString("base64url"),
    VOLLEY_SECRET_KEY: randomBytes(32).toString("base64url"),
    VOLLEY_RECEIPT_KEYS: randomBytes(32).toString("base64url"),
    VOLLEY_TREASURY_ADDRESS: treasury.address,
    VOLLEY_SPONSOR_ADDRESS: sponsor.address,
    SOLANA_NETWORK: "localnet",
    VOLLEY_CHAIN_POLL_MS: "100",
    VOLLEY_HEARTBEAT_INTERVAL_SECONDS: "1",
    VOLLEY_HOLDS_PER_CALLER_MAX: "1000",
    VOLLEY_HELD_GPUS_PER_CALLER_PERCENT: "100",
    VOLLEY_HELD_GPUS_PERCENT: "100",
    VOLLEY_RATE_LIMIT_PER_MINUTE: "1000000",
    SOLANA_RPC_URL: chain.rpcUrl,
    USDC_MINT: chain.usdcMint,
    ...options.environment,
  };
  const clock = systemClock;
  const log: Record<string, unknown>[] = [];
  const logger = jsonLogger({ clock, level: "warn", write: (line) => log.push(JSON.parse(line)) });
  const settings = readSettings(environment);
  const services: Services = {
    clock,
    random: strongRandom(),
    db: database.db,
    chain: rpcChainAt(chain.rpcUrl, { clock }),
    cards: stripeCards(settings),
    screening: localScreening(settings.sanctionsList),
    market: newMarket(),
    suppliers: { agent: agentSupplier() },
    settings,
    logger,
    metrics: prometheusMetrics(logger),
    hints: inProcessHints(clock),
  };
  await openTokenAccount(services.chain, payer, treasury.address, chain.usdcMint);
  const treasuryProcess = startTreasuryProcess({
    clock,
    logger,
    program: new URL("../../api/entry/treasury.ts", import.meta.url),
    environment: {
      DATABASE_URL: database.url,
      SOLANA_RPC_URL: chain.rpcUrl,
      USDC_MINT: chain.usdcMint,
      VOLLEY_TREASURY_KEYPAIR: treasuryFile,
      ...(options.facilitatorUrl === undefined
        ? { VOLLEY_TREASURY_SPONSOR_KEYPAIR: sponsorFile }
        : { VOLLEY_TREASURY_FACILITATOR_URL: options.facilitatorUrl }),
      VOLLEY_SPONSOR_ADDRESS: environment.VOLLEY_SPONSOR_ADDRESS,
      SOLANA_NETWORK: environment.SOLANA_NETWORK,
      VOLLEY_CHAIN_POLL_MS: environment.VOLLEY_CHAIN_POLL_MS,
      VOLLEY_LOG_LEVEL: "warn",
    },
  });
  stack.defer(() => treasuryProcess.stop());
  const disposables = stack.move();
  return { database, chain, payer, environment, services, log, close: () => disposables.disposeAsync() };
}

/** The app in this process, as `api/entry/node.ts` serves it. */
export async function createTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const world = await createTestWorld(options);
  const server = await serve(world.services, { port: 0, host: "127.0.0.1" });
  return appOver(world, server.url, () => server.stop());
}

/** Adds machines, and the order in which everything ends, to a running server. */
export function appOver(world: TestWorld, url: string, stopServer: () => Promise<void>): TestApp {
  const agents: (() => Promise<void>)[] = [];
  return {
    ...world,
    url,
    async join(slots) {
      const { services } = world;
      const { token } = await issueEnrolmentToken(services, { supplierName: "test", supplierClass: "network" });
      const folder = await mkdtemp(join(tmpdir(), "volley-agent-"));
      const agent = await startAgent({
        apiUrl: url,
        enrolmentToken: token,
        dataDirectory: folder,
        cpuSlots: slots,
        pricePerGpuHour: "3.60",
        site: { country: "DE", region: "test", latitude: 50, longitude: 8 },
        advertiseAddress: null,
        runtime: "process",
        environment: {},
        log: { info: () => undefined, warn: () => undefined },
      });
      agents.push(async () => {
        await agent.stop({ stopWorkloads: true });
        await rm(folder, { recursive: true, force: true });
      });
      await until("the machine is on offer", async () => {
        const answer = await fetch(`${url}/v1/nodes/${agent.nodeId}`);
        const node = (await answer.json()) as { status?: string };
        return node.status === "online";
      });
      return agent.nodeId;
    },
    async close() {
      for (const stop of agents) await stop();
      await stopServer();
      await world.close();
    },
  };
}
