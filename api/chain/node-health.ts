/** What is known about each node of a pool: which of them to ask first, and which slots count as seen. */
import type { Clock } from "../ports/clock.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { Level } from "./rpc.ts";

/** How a call to a node ended. A refusal is an answer: the node lives, and asking it again changes nothing. */
export type CallOutcome = "ok" | "lagging" | "refused" | "failed";

const FIRST_REST_MS = 1_000;
const REST_MS_MAX = 60_000;
/** The weight of the newest call in a node's latency. */
const NEWEST = 0.2;
/** Nodes whose latencies differ by less take turns by their place in the list. */
const LATENCY_STEP_MS = 50;
/** A node further behind what counts as seen is asked after the others. */
const LAG_SLOTS_MAX = 16n;

interface NodeState {
  readonly name: string;
  failures: number;
  restsUntilMs: number;
  latencyMs: number;
  readonly newest: Record<Level, bigint>;
}

export class NodeHealth {
  readonly #states: readonly NodeState[];
  readonly #clock: Clock;
  readonly #metrics: Pick<Metrics, "count" | "gauge" | "observe">;

  constructor(names: readonly string[], clock: Clock, metrics: Pick<Metrics, "count" | "gauge" | "observe">) {
    this.#states = names.map((name) => ({
      name,
      failures: 0,
      restsUntilMs: 0,
      latencyMs: 0,
      newest: { confirmed: 0n, finalized: 0n },
    }));
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /**
   * A slot counts as seen when two nodes have reached it, so that one that lies can't make the honest ones look old;
   * with one node, when that one has.
   */
  seen(commitment: Level): bigint {
    const reached = this.#states.map(({ newest }) => newest[commitment]).sort((a, b) => (a < b ? 1 : -1));
    const seen = reached[Math.min(1, reached.length - 1)] ?? 0n;
    // What is final is confirmed too, whether or not anybody has asked.
    return commitment === "finalized" ? seen : larger(seen, this.seen("finalized"));
  }

  noteSlot(index: number, commitment: Level, slot: bigint): void {
    const state = this.#states[index];
    if (state === undefined) return;
    state.newest[commitment] = larger(state.newest[commitment], slot);
    const lag = this.seen(commitment) - state.newest[commitment];
    this.#metrics.gauge("volley_chain_node_lag_slots", Number(larger(lag, 0n)), { node: state.name, commitment });
  }

  noteCall(index: number, outcome: CallOutcome, startedMs: number): void {
    const state = this.#states[index];
    if (state === undefined) return;
    const nowMs = this.#clock.nowMs();
    this.#metrics.count("volley_chain_node_calls_total", { node: state.name, outcome });
    this.#metrics.observe("volley_chain_node_seconds", (nowMs - startedMs) / 1000, { node: state.name });
    if (outcome === "failed") {
      state.restsUntilMs = nowMs + Math.min(REST_MS_MAX, FIRST_REST_MS * 2 ** Math.min(state.failures, 10));
      state.failures++;
    } else if (outcome !== "lagging") {
      state.failures = 0;
      state.restsUntilMs = 0;
      state.latencyMs += NEWEST * (nowMs - startedMs - state.latencyMs);
    }
    this.#metrics.gauge("volley_chain_node_failures", state.failures, { node: state.name });
  }

  /** All nodes, the best first: those that rest after failures come last, and before them those that lag. */
  order(): number[] {
    const nowMs = this.#clock.nowMs();
    const seen = this.seen("finalized");
    const rank = (state: NodeState) =>
      (nowMs < state.restsUntilMs ? 1e9 + state.failures * 1e6 : 0) +
      (seen - state.newest.finalized > LAG_SLOTS_MAX ? 1e5 : 0) +
      Math.floor(state.latencyMs / LATENCY_STEP_MS);
    const ranks = this.#states.map(rank);
    return ranks.map((_, index) => index).sort((one, two) => (ranks[one] ?? 0) - (ranks[two] ?? 0) || one - two);
  }

  /** The nodes that don't rest, and as many of the others as it takes to have `least`. */
  awake(least: number): number[] {
    const nowMs = this.#clock.nowMs();
    const order = this.order();
    const awake = order.filter((index) => nowMs >= (this.#states[index]?.restsUntilMs ?? 0));
    return order.slice(0, Math.max(awake.length, Math.min(least, order.length)));
  }
}

const larger = (one: bigint, two: bigint) => (one > two ? one : two);
