/**
 * Everything on one machine, with no configuration: Postgres, a development chain with a faucet, the API,
 * and an agent that offers this very machine.
 */
import { once } from "node:events";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startAgent } from "@volley/agent/agent";
import { inProcessHints } from "../adapters/in-process-hints.ts";
import { jsonLogger } from "../adapters/json-logger.ts";
import { localScreening } from "../adapters/local-screening.ts";
import { prometheusMetrics } from "../adapters/prometheus-metrics.ts";
import { strongRandom } from "../adapters/strong-random.ts";
import { systemClock } from "../adapters/system-clock.ts";
import type { Services } from "../context.ts";
import { openDatabase } from "../db/database.ts";
import { migrateDatabase } from "../db/migrate.ts";
import { lockFolder } from "../local/folder-lock.ts";
import { FOREIGN_DETAIL, isFromThisMachine } from "../local/is-from-this-machine.ts";
import { onPort } from "../local/on-port.ts";
import { type LocalOptions, readLocalOptions, USAGE } from "../local/options.ts";
import { startEmbeddedPostgres } from "../local/postgres.ts";
import { addressOfKeypair, keypairFile, readOrCreateReceiptKey, readOrCreateSecrets } from "../local/secrets.ts";
import { type LocalChain, startChain } from "../local/start-chain.ts";
import { startTreasuryProcess } from "../local/treasury-process.ts";
import { newMarket } from "../market/market.ts";
import { stripeCards } from "../payments/stripe/stripe-cards.ts";
import type { Logger } from "../ports/logger.ts";
import { readSettings } from "../settings.ts";
import { agentSupplier } from "../supply/agent-supplier.ts";
import { issueEnrolmentToken } from "../supply/issue-enrolment-token.ts";
import { simulatedSupplier } from "../supply/simulated-supplier.ts";
import { type RunningServer, serve } from "./serve.ts";

const CONNECTIONS_MAX = 20;
const STATEMENT_TIMEOUT_MS = 30_000;
const NODE_TIMEOUT_MS = 60_000;
const NODE_POLL_MS = 50;
/** Price of a slot of this machine: 0.36 USDC an hour is 100 micro-USDC a second, easy to follow on a bill. */
const SLOT_PRICE_USDC = "0.36";

type Environment = Readonly<Record<string, string | undefined>>;

interface LocalServices {
  readonly services: Services;
  readonly chain: LocalChain;
  readonly databaseUrl: string;
  readonly payerFile: string;
  /** Read by the treasury's process alone. */
  readonly treasuryFile: string;
  readonly sponsorFile: string;
}

/** The embedded Postgres, or the one that DATABASE_URL names. */
async function openPostgres(
  dataFolder: string,
  environment: Environment,
  stack: AsyncDisposableStack,
): Promise<string> {
  const given = environment.DATABASE_URL ?? "";
  if (given === "") {
    const server = await startEmbeddedPostgres(dataFolder);
    stack.defer(() => server.stop());
    await migrateDatabase(server.url);
    return server.url;
  }
  try {
    await migrateDatabase(given);
    return given;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `DATABASE_URL: that Postgres can't be used: ${why}. Set it to a URL such as postgres://user:password@host:5432/volley, or leave it out for an embedded one.`,
      { cause: error },
    );
  }
}

async function openServices(
  options: LocalOptions,
  environment: Environment,
  logger: Logger,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<LocalServices> {
  const { dataFolder } = options;
  const databaseUrl = await openPostgres(dataFolder, environment, stack);
  signal.throwIfAborted();
  const db = openDatabase(databaseUrl, { connectionsMax: CONNECTIONS_MAX, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  stack.defer(() => db.$client.end({ timeout: 5 }));

  const clock = systemClock;
  const treasuryFile = environment.VOLLEY_TREASURY_KEYPAIR ?? (await keypairFile(dataFolder, "treasury"));
  const treasuryAddress = await addressOfKeypair(treasuryFile);
  const sponsorFile = environment.VOLLEY_TREASURY_SPONSOR_KEYPAIR ?? (await keypairFile(dataFolder, "sponsor"));
  const sponsorAddress = await addressOfKeypair(sponsorFile);
  const payerFile = await keypairFile(dataFolder, "payer");
  const metrics = prometheusMetrics(logger);
  const chain = await onPort("rpc-port", options.rpcPort, () =>
    startChain({
      clock,
      metrics,
      folder: dataFolder,
      port: options.rpcPort,
      treasuryAddress,
      sponsorAddress,
      payerFile,
      environment,
      onError: (error) => logger.error("the development chain failed", { error }),
    }),
  );
  stack.defer(() => chain.close());

  const secrets = await readOrCreateSecrets(dataFolder);
  const settings = readSettings({
    VOLLEY_QUOTE_KEYS: secrets.quoteKey,
    VOLLEY_SECRET_KEY: secrets.secretKey,
    VOLLEY_TREASURY_ADDRESS: treasuryAddress,
    // On a cluster that isn't ours nobody has given the new wallet any SOL.
    ...(chain.faucetUrl === null
      ? {}
      : { VOLLEY_SPONSOR_ADDRESS: sponsorAddress, VOLLEY_SPONSORED_FEES_PER_PAYMENT: "2", SOLANA_NETWORK: "localnet" }),
    VOLLEY_RECEIPT_KEYS: await readOrCreateReceiptKey(dataFolder),
    VOLLEY_CHAIN_POLL_MS: "200",
    // Whoever tries it out may hold all of this machine.
    VOLLEY_HELD_GPUS_PER_CALLER_PERCENT: "100",
    VOLLEY_HELD_GPUS_PERCENT: "100",
    ...environment,
    SOLANA_RPC_URL: environment.SOLANA_RPC_URL || chain.rpcUrl,
    USDC_MINT: chain.usdcMint,
  });
  const random = strongRandom();
  const services: Services = {
    clock,
    random,
    db,
    chain: chain.chain,
    cards: stripeCards(settings),
    screening: localScreening(settings.sanctionsList),
    market: newMarket(),
    suppliers: { agent: agentSupplier(), simulated: simulatedSupplier({ clock, random }) },
    settings,
    logger,
    metrics,
    hints: inProcessHints(clock),
  };
  return { services, chain, databaseUrl, payerFile, treasuryFile, sponsorFile };
}

/** What the treasury's process gets to know: its own settings and key, and none of ours. */
function treasuryEnvironment(
  { services, databaseUrl, treasuryFile, sponsorFile }: LocalServices,
  environment: Environment,
): Record<string, string> {
  const given = Object.entries(environment).filter(([name]) => name.startsWith("VOLLEY_TREASURY_"));
  return {
    ...(Object.fromEntries(given) as Record<string, string>),
    VOLLEY_TREASURY_KEYPAIR: treasuryFile,
    ...(environment.VOLLEY_TREASURY_FACILITATOR_URL ? {} : { VOLLEY_TREASURY_SPONSOR_KEYPAIR: sponsorFile }),
    VOLLEY_SPONSOR_ADDRESS: services.settings.sponsorAddress ?? "",
    SOLANA_NETWORK: services.settings.solanaNetwork,
    VOLLEY_TREASURY_ADDRESS: services.settings.treasuryAddress,
    VOLLEY_CHAIN_POLL_MS: String(services.settings.chainPollMs),
    DATABASE_URL: databaseUrl,
    SOLANA_RPC_URL: services.settings.solanaRpcUrls.join(","),
    USDC_MINT: services.settings.usdcMint,
    VOLLEY_LOG_LEVEL: environment.VOLLEY_LOG_LEVEL ?? "warn",
  };
}

/** The machine can be rented once its first heartbeat has arrived. */
async function waitForNode(services: Services, nodeId: string, signal: AbortSignal): Promise<void> {
  const deadlineMs = services.clock.nowMs() + NODE_TIMEOUT_MS;
  while (services.clock.nowMs() < deadlineMs) {
    await services.market.refresh(services);
    const index = await services.market.network(services);
    const row = index.rowOf(nodeId);
    // A machine that isn't online counts no GPUs.
    if (row >= 0 && (index.columns.total[row] ?? 0) > 0) return;
    await services.clock.sleep(NODE_POLL_MS, signal);
  }
  throw new Error(`the agent of this machine sent no heartbeat within ${NODE_TIMEOUT_MS / 1000} s`);
}

/** Whole or not at all: a program that waits for the file must never read half of it. */
async function writeLocalFile(file: string, content: Record<string, unknown>): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

function printWelcome(
  server: RunningServer,
  chain: LocalChain,
  dataFolder: string,
  payerFile: string,
  print: (line: string) => void,
): void {
  // Node of this checkout, which runs TypeScript, whatever the machine has; and from another folder the examples find it.
  const elsewhere = dataFolder === resolve(".volley") ? "" : `VOLLEY_LOCAL=${join(dataFolder, "local.json")} `;
  const wallet = chain.faucetUrl === null ? "" : ` --keypair ${payerFile} --rpc-url ${chain.rpcUrl}`;
  print(`
Volley is up.

  REST      ${server.url}/v1        reference: ${server.url}/docs
  GraphQL   ${server.url}/graphql
  chain     ${chain.rpcUrl}${chain.faucetUrl ? "           a development chain, not Solana" : ""}
  data      ${dataFolder}            addresses for programs: local.json

Try next:
  curl ${server.url}/v1/gpus
  ${elsewhere}npx node examples/rent-and-train/main.ts
  npm run -s volley -- run --api-url ${server.url} --gpu cpu --nodes 2${wallet} -- hostname

Ctrl-C stops everything.`);
}

function refuseForeign({ headers }: Request): Response | null {
  return isFromThisMachine(headers.get("host"), headers.get("origin"))
    ? null
    : new Response(FOREIGN_DETAIL, { status: 403 });
}

/** Interrupted on the way, it throws the signal's reason when all that it had started has been stopped. */
export async function startLocal(
  options: LocalOptions,
  environment: Environment,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  const { dataFolder } = options;
  await using stack = new AsyncDisposableStack();
  await mkdir(dataFolder, { recursive: true });
  stack.defer(await lockFolder(dataFolder));
  const level = environment.VOLLEY_LOG_LEVEL === "debug" ? "debug" : "warn";
  const logger = jsonLogger({ clock: systemClock, level, write: (line) => process.stderr.write(`${line}\n`) });

  const opened = await openServices(options, environment, logger, stack, signal);
  const { services, chain, databaseUrl, payerFile } = opened;
  signal.throwIfAborted();
  const server = await onPort("port", options.port, () =>
    serve(services, {
      port: options.port,
      host: "127.0.0.1",
      ownUrlIsPublic: !environment.VOLLEY_PUBLIC_URL,
      refuse: refuseForeign,
    }),
  );
  stack.defer(() => server.stop());
  signal.throwIfAborted();

  const { token } = await issueEnrolmentToken(services, { supplierName: "this machine", supplierClass: "network" });
  const agent = await startAgent({
    apiUrl: server.url,
    enrolmentToken: token,
    dataDirectory: join(dataFolder, "agent"),
    cpuSlots: options.slots,
    pricePerGpuHour: SLOT_PRICE_USDC,
    site: { country: "ZZ", region: "local", latitude: 0, longitude: 0 },
    advertiseAddress: null,
    runtime: "auto",
    environment,
    log: { info: (sentence) => logger.info(sentence), warn: (sentence) => print(`Note: ${sentence}`) },
  });
  stack.defer(() => agent.stop({ stopWorkloads: true }));
  await waitForNode(services, agent.nodeId, signal);

  const treasury = startTreasuryProcess({
    clock: services.clock,
    logger,
    program: new URL("./treasury.ts", import.meta.url),
    environment: treasuryEnvironment(opened, environment),
  });
  stack.defer(() => treasury.stop());

  const localFile = join(dataFolder, "local.json");
  stack.defer(() => rm(localFile, { force: true }));
  await writeLocalFile(localFile, {
    api_url: server.url,
    graphql_url: `${server.url}/graphql`,
    rpc_url: chain.rpcUrl,
    ws_url: chain.wsUrl,
    usdc_mint: chain.usdcMint,
    faucet_url: chain.faucetUrl,
    payer_keypair_path: payerFile,
    database_url: databaseUrl,
    treasury_address: services.settings.treasuryAddress,
  });
  printWelcome(server, chain, dataFolder, payerFile, print);
  signal.throwIfAborted();
  return stack.move();
}

if (import.meta.main) {
  // From the first moment on: what is half started must be stopped as well.
  const stopping = new AbortController();
  const stop = () => {
    console.log("Stopping …");
    stopping.abort();
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const options = readLocalOptions(process.argv.slice(2));
    if (options.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const running = await startLocal(options, process.env, console.log, stopping.signal);
    await once(stopping.signal, "abort");
    await running[Symbol.asyncDispose]();
    process.exit(0);
  } catch (error) {
    if (error === stopping.signal.reason) process.exit(0);
    console.error(error instanceof Error ? error.message : error);
    if (!(error instanceof Error) || error.message === "") console.error(USAGE);
    process.exit(1);
  }
}
