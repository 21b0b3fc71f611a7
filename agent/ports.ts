import type { Assignments, Node, NodeHeartbeat, NodeReport, RequestOptions, Volley } from "@volley/sdk";

/** Time, as the agent sees it. Tests drive a false one. */
export interface Clock {
  /** Wall clock, in milliseconds since 1970; may jump. */
  nowMs(): number;
  /** Never jumps nor goes back; its zero means nothing. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** What the agent asks of the API: the client's `nodes` has these methods. */
export interface ControlPlane {
  enrol(...args: Parameters<Volley["nodes"]["enrol"]>): PromiseLike<Node>;
  heartbeat(...args: Parameters<Volley["nodes"]["heartbeat"]>): PromiseLike<NodeHeartbeat>;
  assignments(...args: Parameters<Volley["nodes"]["assignments"]>): PromiseLike<Assignments>;
  report(...args: Parameters<Volley["nodes"]["report"]>): PromiseLike<NodeReport>;
}

export type CallOptions = RequestOptions;

/** Where the agent tells what it does: a sentence, and what it is about. */
export interface AgentLog {
  info(sentence: string, details?: Readonly<Record<string, unknown>>): void;
  warn(sentence: string, details?: Readonly<Record<string, unknown>>): void;
}
