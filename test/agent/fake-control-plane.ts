import { OUTPUT_CHUNK_CHARACTERS_MAX } from "@volley/schema/resources/node";
import {
  type Assignments,
  ConnectionError,
  type ExecutionExit,
  type ExecutionRequest,
  type LeaseAssignment,
  type LeaseObservation,
  type Node,
  type NodeReport,
  type NodesEnrolParams,
  type NodesHeartbeatParams,
  type NodesReportParams,
  type OutputChunk,
} from "@volley/sdk";
import type { Clock, ControlPlane } from "../../agent/ports.ts";

const bodyMaxBytes = 262_144;

type Options = { readonly signal?: AbortSignal | undefined } | undefined;

/** The control plane as the contract describes it: it forgets nothing and takes every chunk once. */
export class FakeControlPlane implements ControlPlane {
  readonly leases = new Map<string, LeaseAssignment>();
  readonly executions = new Map<string, ExecutionRequest>();
  readonly enrolments: NodesEnrolParams[] = [];
  readonly heartbeats: NodesHeartbeatParams[] = [];
  readonly observations: LeaseObservation[] = [];
  readonly exits: ExecutionExit[] = [];
  /** What went against the contract: a gap, or another content under a number that was taken. */
  readonly violations: string[] = [];
  readonly nodeId = "nd_00000000000000000000000000";
  /** Nothing gets through, neither way. */
  down = false;
  /** Something else answers in its place, such as a proxy that tells of maintenance. */
  isReplaced = false;
  /** So many calls arrive, and their answers get lost. */
  losesAnswers = 0;
  /** Thrown by the next reports, one each. */
  refusals: Error[] = [];
  /** Reports wait while this is true. */
  holdsReports = false;
  serverOffsetMs = 0;
  readonly #clock: Clock;
  readonly #output = new Map<string, OutputChunk[]>();
  #revision = 0;
  #waiters: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs() + this.serverOffsetMs;
  }

  /** Changes what should run, and wakes whoever waits for it. */
  change(edit: () => void): void {
    edit();
    this.#revision += 1;
    for (const resolve of this.#waiters.splice(0)) {
      resolve();
    }
  }

  /** What arrived of a lease's log, or of a command's output in all leases that it ran in. */
  text(source: string, stream?: string): string {
    return [...this.#output]
      .filter(([key]) => key === source || key.startsWith(`${source}.`))
      .flatMap(([, chunks]) => chunks)
      .filter((chunk) => stream === undefined || chunk.stream === stream)
      .map((chunk) => Buffer.from(chunk.data, chunk.encoding === "base64" ? "base64" : "utf8").toString())
      .join("");
  }

  /** The newest that was said of a lease, by a report or a heartbeat. */
  lastObservation(leaseId: string): LeaseObservation | undefined {
    return this.observations.findLast((observation) => observation.leaseId === leaseId);
  }

  async enrol(params: NodesEnrolParams): Promise<Node> {
    this.#require();
    if (this.isReplaced) {
      return maintenance();
    }
    this.enrolments.push(params);
    return { id: this.nodeId, object: "node" } as Node;
  }

  async heartbeat(_nodeId: string, params: NodesHeartbeatParams) {
    this.#require();
    this.heartbeats.push(params);
    if (this.isReplaced) {
      return maintenance();
    }
    this.observations.push(...params.leases);
    return this.#answer({
      object: "node_heartbeat" as const,
      serverTime: new Date(this.nowMs()).toISOString(),
      status: "online",
      intervalSeconds: 5,
    });
  }

  async assignments(
    _nodeId: string,
    params?: { after?: string | undefined; waitSeconds?: number | undefined },
    options?: Options,
  ): Promise<Assignments> {
    this.#require();
    if (this.isReplaced) {
      return maintenance();
    }
    if (params?.after === String(this.#revision)) {
      await this.#change((params.waitSeconds ?? 0) * 1_000, options?.signal);
      this.#require();
    }
    return this.#answer({
      object: "assignments" as const,
      revision: String(this.#revision),
      serverTime: new Date(this.nowMs()).toISOString(),
      leases: structuredClone([...this.leases.values()]),
      executions: structuredClone([...this.executions.values()]),
    });
  }

  async report(_nodeId: string, params?: NodesReportParams, options?: Options): Promise<NodeReport> {
    this.#require();
    while (this.holdsReports) {
      await this.#clock.sleep(50, options?.signal);
      if (options?.signal?.aborted) {
        throw new ConnectionError("aborted");
      }
    }
    this.#require();
    if (this.isReplaced) {
      return maintenance();
    }
    const refusal = this.refusals.shift();
    if (refusal !== undefined) {
      throw refusal;
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (Buffer.byteLength(JSON.stringify(params)) > bodyMaxBytes) {
      this.violations.push("a report is larger than the API takes");
    }
    for (const chunk of params?.chunks ?? []) {
      this.#store(chunk);
    }
    this.exits.push(...(params?.exits ?? []));
    this.observations.push(...(params?.leases ?? []));
    return this.#answer({ object: "node_report" as const, accepted: params?.chunks?.length ?? 0 });
  }

  #store(chunk: OutputChunk): void {
    const source = chunk.executionId === undefined ? chunk.leaseId : `${chunk.executionId}.${chunk.leaseId}`;
    const chunks = this.#output.get(source) ?? [];
    this.#output.set(source, chunks);
    if (chunk.data.length > OUTPUT_CHUNK_CHARACTERS_MAX) {
      this.violations.push(`${source} chunk ${chunk.sequence} is larger than the API takes`);
    }
    const known = chunks[chunk.sequence];
    if (known !== undefined) {
      if (JSON.stringify(known) !== JSON.stringify(chunk)) {
        this.violations.push(`${source} chunk ${chunk.sequence} came twice with different content`);
      }
    } else if (chunk.sequence === chunks.length) {
      chunks.push(chunk);
    } else {
      this.violations.push(`${source} chunk ${chunk.sequence} came after ${chunks.length - 1}`);
    }
  }

  #require(): void {
    if (this.down) {
      throw new ConnectionError("the control plane cannot be reached");
    }
  }

  #answer<Value>(value: Value): Value {
    if (this.losesAnswers > 0) {
      this.losesAnswers -= 1;
      throw new ConnectionError("the answer was lost");
    }
    return value;
  }

  async #change(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const timer = new AbortController();
    const ended = signal === undefined ? timer.signal : AbortSignal.any([timer.signal, signal]);
    const changed = new Promise<void>((resolve) => this.#waiters.push(resolve));
    await Promise.race([changed, this.#clock.sleep(timeoutMs, ended)]);
    timer.abort();
    if (signal?.aborted) {
      throw new ConnectionError("aborted");
    }
  }
}

function maintenance(): never {
  return { status: "maintenance" } as never;
}
