import { callOne, callPage, callStream, type Invocation, type Params } from "./calls.ts";
import type { ClusterHandle } from "./cluster-handle.ts";
import { attachCluster, type ReserveParams, reserveCluster } from "./clusters.ts";
import { type Cluster, METHODS, type Method, type OperationId, type Payment, type Resources } from "./generated.ts";
import { type SettledOptions, waitUntilSettled } from "./payments.ts";
import type { RequestOptions } from "./request-options.ts";
import { streamEnd } from "./stream-ends.ts";
import type { Authorize, Logger, TransportSettings } from "./transport.ts";

const BASE_URL_LOCAL = "http://127.0.0.1:8787";
const TIMEOUT_MS = 30_000;
const RETRIES = 2;

export interface VolleyOptions {
  /** Where the API is. Default: the environment variable VOLLEY_API_URL, else a server on this machine. */
  baseUrl?: string | undefined;
  /** An account's key. Renting needs none: reserving answers with a secret for that cluster alone. */
  apiKey?: string | undefined;
  /** A cluster's secret. The handles that reserve and attach give keep theirs by themselves. */
  secret?: string | undefined;
  fetch?: typeof fetch | undefined;
  /** Limit of each attempt, reading its body included, in milliseconds. Default: 30,000. */
  timeoutMs?: number | undefined;
  /** How often a call is repeated after a failure that may pass. Default: 2. */
  maxRetries?: number | undefined;
  /** Told of every attempt, without its secrets. `console` will do. */
  logger?: Logger | undefined;
  /** Headers for each attempt, by which a node signs its requests. */
  authorize?: Authorize | undefined;
}

/** The resources, with the comforts of a {@link ClusterHandle} in place of bare reserving. */
type ClustersResource = Omit<Resources["clusters"], "reserve"> & {
  /**
   * Claims the quoted machines, pays for them if `pay` is given, and answers with a handle.
   * @throws {PaymentFailedError} when paying fails; the cluster is torn down before
   */
  reserve(params: ReserveParams, options?: RequestOptions): Promise<ClusterHandle>;
  /** A handle on a cluster that was reserved before, by its id and its secret. */
  attach(id: string, secret: string, options?: RequestOptions): Promise<ClusterHandle>;
};

type PaymentsResource = Resources["payments"] & {
  /**
   * Waits until a payment counts, with progress on the way.
   * @throws {PaymentClosedError} when it never will
   * @throws {WaitTimeoutError} after `timeout` (default: one hour)
   */
  settled(id: string, options?: SettledOptions): Promise<Payment>;
};

/**
 * A client of the Volley API.
 * @example
 * const volley = new Volley();
 * const quote = await volley.quotes.create({ gpu: "h100-sxm", gpusPerNode: 8, nodes: 2, duration: "4h" });
 * await using cluster = await volley.clusters.reserve({ quote, pay: payWith({ signer, rpcUrl }) });
 * await cluster.ready({ timeout: "10m" });
 * for await (const line of cluster.run("torchrun train.py")) process.stdout.write(line.text);
 */
export class Volley implements Omit<Resources, "clusters"> {
  /** Where the API is. */
  readonly baseUrl: string;
  readonly gpus: Resources["gpus"];
  readonly offers: Resources["offers"];
  readonly network: Resources["network"];
  readonly quotes: Resources["quotes"];
  readonly clusters: ClustersResource;
  readonly payments: PaymentsResource;
  readonly payouts: Resources["payouts"];
  readonly refunds: Resources["refunds"];
  readonly receipts: Resources["receipts"];
  readonly auth: Resources["auth"];
  readonly account: Resources["account"];
  readonly balance: Resources["balance"];
  readonly topups: Resources["topups"];
  readonly unallocated: Resources["unallocated"];
  readonly transfers: Resources["transfers"];
  readonly nodes: Resources["nodes"];
  /** Every operation as it is in the contract, without comforts: for tools that go through them all. */
  readonly resources: Resources;
  readonly #options: VolleyOptions;

  constructor(options: VolleyOptions = {}) {
    this.#options = options;
    const settings = settingsOf(options);
    this.baseUrl = settings.baseUrl;
    this.resources = bindResources(settings);
    const { clusters, ...resources } = this.resources;
    this.gpus = resources.gpus;
    this.offers = resources.offers;
    this.network = resources.network;
    this.quotes = resources.quotes;
    this.payments = {
      ...resources.payments,
      settled: (id, settledOptions) => waitUntilSettled(this, id, settledOptions),
    };
    this.payouts = resources.payouts;
    this.refunds = resources.refunds;
    this.receipts = resources.receipts;
    this.auth = resources.auth;
    this.account = resources.account;
    this.balance = resources.balance;
    this.topups = resources.topups;
    this.unallocated = resources.unallocated;
    this.transfers = resources.transfers;
    this.nodes = resources.nodes;
    this.clusters = {
      ...clusters,
      reserve: (params, requestOptions) => reserveCluster(this, clusters.reserve, params, requestOptions),
      attach: (id, secret, requestOptions) => attachCluster(this, id, secret, requestOptions),
    };
  }

  /** A client that differs in these options alone. A credential given here replaces the client's own. */
  withOptions(options: VolleyOptions): Volley {
    const { apiKey, secret, ...rest } = this.#options;
    const credentials = options.apiKey === undefined && options.secret === undefined ? { apiKey, secret } : {};
    return new Volley({ ...rest, ...credentials, ...options });
  }
}

/** Runtimes without a process, such as browsers and Workers, have no environment to read. */
function environmentUrl(): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.VOLLEY_API_URL;
}

function settingsOf(options: VolleyOptions): TransportSettings {
  const {
    apiKey,
    secret,
    fetch: customFetch,
    timeoutMs = TIMEOUT_MS,
    maxRetries = RETRIES,
    logger,
    authorize,
  } = options;
  if (apiKey !== undefined && secret !== undefined) throw new TypeError("give apiKey or secret, not both");
  const baseUrl = options.baseUrl ?? environmentUrl() ?? BASE_URL_LOCAL;
  if (!/^https?:\/\//.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw new TypeError(`the base URL must begin with http:// or https://, not "${baseUrl}"`);
  }
  return {
    baseUrl: baseUrl.replace(/\/+$/, ""),
    credential: apiKey ?? secret,
    // Called bare: some runtimes refuse a fetch that is called as a method of anything but the global object.
    fetch: customFetch ? (...args) => customFetch(...args) : (...args) => fetch(...args),
    timeoutMs,
    maxRetries,
    logger,
    authorize,
  };
}

function bindMethod(settings: TransportSettings, operation: OperationId): (...args: unknown[]) => unknown {
  const method: Method = METHODS[operation];
  const pathCount = method.path.split("{").length - 1;
  return (...args) => {
    const path = args.slice(0, pathCount) as string[];
    const [params, options] = method.hasParams ? args.slice(pathCount) : [undefined, args[pathCount]];
    const invocation: Invocation = {
      operation,
      path,
      params: (params ?? {}) as Params,
      options: (options ?? {}) as RequestOptions,
    };
    if (method.result === "one") return callOne(settings, invocation);
    if (method.result === "page") return callPage(settings, invocation);
    const getCluster = () => callOne<Cluster>(settings, { ...invocation, operation: "clusters.get", params: {} });
    return callStream(settings, invocation, streamEnd(invocation, getCluster));
  };
}

function bindResources(settings: TransportSettings): Resources {
  const resources: Record<string, Record<string, unknown>> = {};
  for (const operation of Object.keys(METHODS) as OperationId[]) {
    const [resource = "", verb = ""] = operation.split(".");
    resources[resource] = { ...resources[resource], [verb]: bindMethod(settings, operation) };
  }
  return resources as unknown as Resources;
}
