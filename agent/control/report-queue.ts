import type { ExecutionExit, LeaseObservation, OutputChunk } from "@volley/sdk";

/** What one report carries, in the order in which it was queued. */
export interface ReportBatch {
  readonly chunks: readonly OutputChunk[];
  readonly exits: readonly ExecutionExit[];
  readonly leases: readonly LeaseObservation[];
  /** Takes the batch out of the queue: it was delivered, or can never be. */
  settle(): void;
}

type Item = (
  | { readonly kind: "chunk"; readonly chunk: OutputChunk }
  | { readonly kind: "exit"; readonly exit: ExecutionExit }
) & { readonly sizeBytes: number; readonly onSettled: () => void };

const chunksPerReport = 100;
const exitsPerReport = 256;
const leasesPerReport = 256;
/** Well under the size of body that the API takes. */
const reportMaxBytes = 180_000;

/**
 * Output and results on their way to the control plane. What waits is limited: a source that produces more than the
 * control plane takes is held up, and so, through its pipe, is the program that writes.
 */
export class ReportQueue {
  readonly #maxBytes: number;
  readonly #items: Item[] = [];
  readonly #leases = new Map<string, LeaseObservation>();
  #queuedBytes = 0;
  #spaceWaiters: (() => void)[] = [];
  #workWaiters: (() => void)[] = [];

  constructor(options: { readonly maxBytes: number }) {
    this.#maxBytes = options.maxBytes;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0 && this.#leases.size === 0;
  }

  /** Queues output; resolves once it is in the queue, which may be long after when the queue is full. */
  async pushChunk(chunk: OutputChunk, signal: AbortSignal, onSettled: () => void = () => undefined): Promise<void> {
    const sizeBytes = Buffer.byteLength(JSON.stringify(chunk));
    while (this.#queuedBytes > 0 && this.#queuedBytes + sizeBytes > this.#maxBytes) {
      signal.throwIfAborted();
      await waitIn(this.#spaceWaiters, signal);
    }
    signal.throwIfAborted();
    this.#push({ kind: "chunk", chunk, sizeBytes, onSettled });
  }

  /** Queues an exit behind the output that came before it. */
  pushExit(exit: ExecutionExit, onSettled: () => void): void {
    this.#push({ kind: "exit", exit, sizeBytes: Buffer.byteLength(JSON.stringify(exit)), onSettled });
  }

  /** Only the newest observation of a lease is of interest. */
  putLease(observation: LeaseObservation): void {
    this.#leases.set(observation.leaseId, observation);
    this.#wake();
  }

  /** What goes into the next report; null when there is nothing to tell. */
  nextBatch(): ReportBatch | null {
    if (this.isEmpty) {
      return null;
    }
    const items = this.#takeable();
    const leases = [...this.#leases.values()].slice(0, leasesPerReport);
    return {
      chunks: items.flatMap((item) => (item.kind === "chunk" ? [item.chunk] : [])),
      exits: items.flatMap((item) => (item.kind === "exit" ? [item.exit] : [])),
      leases,
      settle: () => this.#settle(items, leases),
    };
  }

  /** Resolves when there is something to report, or when the signal is aborted. */
  async waitForWork(signal: AbortSignal): Promise<void> {
    if (this.isEmpty && !signal.aborted) {
      await waitIn(this.#workWaiters, signal);
    }
  }

  #takeable(): readonly Item[] {
    const items: Item[] = [];
    let sizeBytes = 0;
    let chunks = 0;
    for (const item of this.#items) {
      chunks += item.kind === "chunk" ? 1 : 0;
      sizeBytes += item.sizeBytes;
      const full = chunks > chunksPerReport || items.length - chunks >= exitsPerReport || sizeBytes > reportMaxBytes;
      if (items.length > 0 && full) {
        break;
      }
      items.push(item);
    }
    return items;
  }

  #push(item: Item): void {
    this.#items.push(item);
    this.#queuedBytes += item.sizeBytes;
    this.#wake();
  }

  #settle(items: readonly Item[], leases: readonly LeaseObservation[]): void {
    this.#items.splice(0, items.length);
    this.#queuedBytes -= items.reduce((sum, item) => sum + item.sizeBytes, 0);
    for (const lease of leases) {
      if (this.#leases.get(lease.leaseId) === lease) {
        this.#leases.delete(lease.leaseId);
      }
    }
    for (const item of items) {
      item.onSettled();
    }
    for (const resolve of this.#spaceWaiters.splice(0)) {
      resolve();
    }
  }

  #wake(): void {
    for (const resolve of this.#workWaiters.splice(0)) {
      resolve();
    }
  }
}

function waitIn(waiters: (() => void)[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
    waiters.push(done);
  });
}
