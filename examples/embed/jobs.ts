/** Jobs of this shop's customers: each rents a cluster of its own, runs a command on it and gives it back. */
import { randomUUID } from "node:crypto";
import { type Pay, type Quote, type Volley, VolleyError } from "@volley/sdk";
import { withMarkUp } from "./price.ts";

const OUTPUT_CHARACTERS_MAX = 100_000;
const JOBS_MAX = 100;
const RUNNING_MAX = 4;

/** What a customer sees. Nothing of it opens the cluster, which is the shop's. */
export interface Job {
  readonly id: string;
  status: "starting" | "running" | "done" | "failed";
  /** At most so much; the final price is for the seconds used. */
  readonly priceMax: string;
  price: string | null;
  output: string;
  error: string | null;
}

export interface Order {
  readonly gpu: string;
  readonly minutes: number;
  readonly command: string;
}

export class Jobs {
  readonly #volley: Volley;
  readonly #pay: Pay;
  readonly #jobs = new Map<string, Job>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(volley: Volley, pay: Pay) {
    this.#volley = volley;
    this.#pay = pay;
  }

  get(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  /** @returns null when the shop is busy */
  async start(order: Order): Promise<Job | null> {
    if (this.#running.size >= RUNNING_MAX || this.#closing.signal.aborted) return null;
    const quote = await this.#volley.quotes.create({ gpu: order.gpu, duration: `${order.minutes}m` });
    const job: Job = {
      id: randomUUID(),
      status: "starting",
      priceMax: withMarkUp(quote.total.amount),
      price: null,
      output: "",
      error: null,
    };
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size >= JOBS_MAX && oldest !== undefined) this.#jobs.delete(oldest);
    this.#jobs.set(job.id, job);
    const running = this.#run(job, quote, order.command).finally(() => this.#running.delete(running));
    this.#running.add(running);
    return job;
  }

  async #run(job: Job, quote: Quote, command: string): Promise<void> {
    try {
      await this.#rent(job, quote, command);
      job.status = "done";
    } catch (error) {
      job.status = "failed";
      // The SDK's messages are fit for a customer; those of other errors may not be.
      job.error = error instanceof VolleyError ? error.message : "Something failed in the shop.";
      if (!(error instanceof VolleyError)) console.error(error);
    }
  }

  async #rent(job: Job, quote: Quote, command: string): Promise<void> {
    const { signal } = this.#closing;
    await using cluster = await this.#volley.clusters.reserve({ quote, pay: this.#pay, clientReference: job.id });
    try {
      await cluster.ready({ timeout: "5m", signal });
      job.status = "running";
      for await (const { text } of cluster.run(command, { signal })) {
        if (job.output.length < OUTPUT_CHARACTERS_MAX) job.output += text;
      }
    } finally {
      const { bill } = await cluster.teardown();
      job.price = bill === null ? null : withMarkUp(bill.charged.amount);
    }
  }

  /** Stops what runs and waits until every cluster has been given back. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#running);
  }
}
