import type { Volley } from "./client.ts";
import { collectResult, type ExecutionResult, type OutputLine, readLines } from "./command-output.ts";
import { ConflictError, VolleyError } from "./errors.ts";
import type { EventStream } from "./event-stream.ts";
import type {
  Cluster,
  ClusterExtension,
  ClustersEventsParams,
  ClustersExecParams,
  ClustersExtendParams,
  ClustersLogsParams,
  Event,
  Output,
  Payment,
} from "./generated.ts";
import type { RequestOptions } from "./request-options.ts";
import { type Span, toSeconds } from "./span.ts";
import { hasEnded } from "./stream-ends.ts";
import { poll } from "./wait.ts";

/**
 * Pays what a payment asks for, and returns once the money is under way for good.
 * `refundAddress` is where its owner takes unused money back.
 */
export interface Pay {
  (payment: Payment, options: { signal?: AbortSignal | undefined }): Promise<unknown>;
  readonly refundAddress?: string;
}

/** The cluster ended without having become ready, or before what was asked of it could happen. */
export class ClusterEndedError extends VolleyError {
  override name = "ClusterEndedError";
  readonly cluster: Cluster;

  constructor(cluster: Cluster) {
    const ranks = cluster.nodes.flatMap(({ rank, reason }) => (reason === null ? [] : [`rank ${rank}: ${reason}`]));
    super([`The cluster is ${cluster.status} (${cluster.statusReason ?? "no reason given"}).`, ...ranks].join(" "));
    this.cluster = cluster;
  }
}

export interface WaitOptions {
  /** How long to wait at most. */
  timeout?: Span | undefined;
  signal?: AbortSignal | undefined;
  /** Told of the cluster each time it is looked at. */
  onProgress?: ((cluster: Cluster) => void) | undefined;
}

/** Leaves fields out of each branch of a union, where Omit alone would merge the branches. */
type Without<T, Name extends PropertyKey> = T extends unknown ? Omit<T, Name> : never;

export type RunOptions = Without<ClustersExecParams, "command" | "lastEventId"> & { signal?: AbortSignal | undefined };
export type ExtendOptions = ClustersExtendParams & { pay?: Pay | undefined; signal?: AbortSignal | undefined };

const READY_TIMEOUT = "10m";
const SETTLED_TIMEOUT = "5m";
const RESULT_BYTES_MAX = 8 * 1024 * 1024;
/** A machine left running costs money, so giving it back is worth more tries than other calls. */
const TEARDOWN_RETRIES = 6;

/** A command that runs on the cluster: iterate its raw output, or collect it all. Once. */
export class Execution implements AsyncIterable<Output> {
  readonly #outputs: EventStream<Output>;
  readonly #ranks: number;

  constructor(outputs: EventStream<Output>, ranks: number) {
    this.#outputs = outputs;
    this.#ranks = ranks;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Output, void, undefined> {
    let exits = 0;
    for await (const output of this.#outputs) {
      yield output;
      if (output.type === "exit" && ++exits >= this.#ranks) return;
    }
  }

  /** Output and exit code of every rank; a code other than 0 is no error here. */
  result(options: { bytesMax?: number } = {}): Promise<ExecutionResult> {
    return collectResult(this, options.bytesMax ?? RESULT_BYTES_MAX);
  }
}

/**
 * A rented cluster and the right to use it. With `await using` it is torn down when the block ends, whatever happens.
 * Printing it shows no secret.
 */
export class ClusterHandle implements AsyncDisposable {
  readonly #client: Volley;
  readonly #secret: string | null;
  #data: Cluster;

  constructor(client: Volley, data: Cluster, secret: string | null) {
    this.#client = secret === null ? client : client.withOptions({ secret });
    this.#secret = secret;
    this.#data = { ...data, secret: null };
  }

  get id(): string {
    return this.#data.id;
  }

  /** The cluster as last seen; {@link refresh} looks again. */
  get data(): Cluster {
    return this.#data;
  }

  /** The credential of this cluster: keep it to attach again later. Null when the client's own credential opens it. */
  get secret(): string | null {
    return this.#secret;
  }

  toJSON(): Cluster {
    return this.#data;
  }

  async refresh(options?: RequestOptions): Promise<Cluster> {
    this.#data = await this.#client.clusters.get(this.id, options);
    return this.#data;
  }

  /**
   * Waits until every rank is verified ready.
   * @throws {ClusterEndedError} when it never will be
   * @throws {WaitTimeoutError} after `timeout` (default: 10 minutes)
   */
  async ready(options: WaitOptions = {}): Promise<Cluster> {
    return this.#poll(options, READY_TIMEOUT, "Getting ready", (cluster) => {
      if (hasEnded(cluster) || cluster.status === "stopping") throw new ClusterEndedError(cluster);
      return cluster.status === "running";
    });
  }

  /**
   * Waits until the cluster has ended and what is left of the money is on its way: sent on chain, or credit.
   * @throws {WaitTimeoutError} after `timeout` (default: 5 minutes)
   */
  async settled(options: WaitOptions = {}): Promise<Cluster> {
    return this.#poll(options, SETTLED_TIMEOUT, "Settling", (cluster) => {
      if (!hasEnded(cluster)) return false;
      const refund = cluster.bill?.refund;
      return (
        !refund || refund.status === "credited" || refund.signature !== null || /^0\.0*$/.test(refund.amount.amount)
      );
    });
  }

  async #poll(
    options: WaitOptions,
    timeoutDefault: Span,
    what: string,
    isThere: (cluster: Cluster) => boolean,
  ): Promise<Cluster> {
    const { signal, timeout = timeoutDefault, onProgress } = options;
    return poll(
      async () => {
        const cluster = await this.refresh({ signal });
        onProgress?.(cluster);
        return isThere(cluster) ? cluster : undefined;
      },
      { timeoutMs: toSeconds(timeout) * 1000, what: `${what} (cluster ${this.id})`, signal },
    );
  }

  /**
   * Runs a command on one rank, or on all, and hands out its output line by line.
   * @throws {CommandFailedError} after the last line, when a rank did not exit with 0
   */
  run(command: string | string[], options: RunOptions = {}): AsyncGenerator<OutputLine, void, undefined> {
    return readLines(this.exec(command, options));
  }

  /** Runs a command as {@link run} does, and gives its raw output and exit codes. */
  exec(command: string | string[], options: RunOptions = {}): Execution {
    const { signal, ...params } = options;
    const outputs = this.#client.clusters.exec(this.id, { ...params, command }, { signal });
    return new Execution(outputs, options.rank === undefined ? this.#data.nodes.length : 1);
  }

  /** Output of the start-up scripts, from the beginning; it goes on until the cluster has ended. */
  logs(params: ClustersLogsParams = {}, options?: RequestOptions): EventStream<Output> {
    return this.#client.clusters.logs(this.id, params, options);
  }

  /** What happened to the cluster, from the beginning; it goes on until the cluster has ended. */
  events(params: ClustersEventsParams = {}, options?: RequestOptions): EventStream<Event> {
    return this.#client.clusters.events(this.id, params, options);
  }

  /** More time. With `dryRun` it only says what that would cost; without `pay` the answer says how to pay. */
  async extend(options: ExtendOptions): Promise<ClusterExtension> {
    const { pay, signal, ...params } = options;
    const extension = await this.#client.clusters.extend(this.id, params, { signal });
    // What a balance has paid is settled already.
    const { payment } = extension;
    if (pay && payment !== null && payment.status !== "settled") await pay(payment, { signal });
    return extension;
  }

  /** Ends the rental and answers with the final bill. A cluster that has ended already is a success. */
  async teardown(options: RequestOptions = {}): Promise<Cluster> {
    try {
      const cluster = await this.#client.clusters.teardown(this.id, { maxRetries: TEARDOWN_RETRIES, ...options });
      this.#data = cluster;
      return cluster;
    } catch (error) {
      if (error instanceof ConflictError && error.code === "cluster_ended") return this.refresh(options);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!hasEnded(this.#data) && this.#data.status !== "stopping") await this.teardown();
  }
}
