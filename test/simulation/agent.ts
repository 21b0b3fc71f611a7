/**
 * A supplier's machine with an agent on it, as the node protocol describes one: it asks what should run, runs it, says
 * what it sees, and ends every lease at its end by itself. The agent dies and comes back, and so does the machine.
 */
import { createHash } from "node:crypto";
import {
  formatNodeProof,
  NODE_SIGNATURE_HEADER,
  type NodeChannel,
  nodeSignatureText,
} from "@volley/schema/node-signature";
import type { Assignments, LeaseAssignment, LeaseObservation } from "@volley/schema/resources/node";
import type { ChainKey } from "../../api/local/chain/keys.ts";
import type { ApiRequest, ApiResponse, Network } from "./client.ts";
import { LIFE_MS, type Span, START_MS, STOP_MS } from "./cloud.ts";
import type { Faults } from "./faults.ts";
import type { Machine, Machines } from "./machines.ts";
import type { SeededRandom } from "./random.ts";
import type { Timeline } from "./timeline.ts";

const HEARTBEAT_MS = 15_000;
const POLL_MS = 9_000;
/** Until an agent that died is started again; containers go on meanwhile. */
const AGENT_AWAY_MS: Span = { least: 2_000, most: 90_000 };
/** Until a machine that lost its power is back, without what ran on it. */
const MACHINE_AWAY_MS: Span = { least: 20_000, most: 200_000 };

export interface AgentIdentity {
  readonly nodeId: string;
  readonly key: ChainKey;
}

export class Agent {
  readonly #identity: AgentIdentity;
  readonly #network: Network;
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #machines: Machines;
  readonly #faults: () => Faults;
  readonly #count: (fault: string) => void;
  /** On disk: a counter that was used is never used again. */
  #counter = 0;
  /** Loops of an earlier life see that it is over. */
  #life = 0;
  readonly #endings = new Set<Machine>();

  constructor(
    identity: AgentIdentity,
    network: Network,
    timeline: Timeline,
    random: SeededRandom,
    machines: Machines,
    faults: () => Faults,
    count: (fault: string) => void,
  ) {
    this.#identity = identity;
    this.#network = network;
    this.#timeline = timeline;
    this.#random = random;
    this.#machines = machines;
    this.#faults = faults;
    this.#count = count;
  }

  start(): void {
    const life = ++this.#life;
    this.#repeat(life, HEARTBEAT_MS, () => this.#beat());
    this.#repeat(life, POLL_MS, () => this.#poll());
  }

  /** Does something again and again until this life ends. */
  #repeat(life: number, everyMs: number, work: () => Promise<void>): void {
    const turn = async () => {
      if (life !== this.#life) return;
      this.#mayDie();
      if (life !== this.#life) return;
      await work().catch(() => undefined);
      this.#timeline.after(everyMs, () => {
        void turn();
      });
    };
    this.#timeline.after(this.#random.whole(0, everyMs), () => {
      void turn();
    });
  }

  #mayDie(): void {
    const { agentDies, machineLosesPower } = this.#faults();
    if (this.#random.chance(agentDies)) {
      this.#count("agent dies");
      this.#away(AGENT_AWAY_MS);
    } else if (this.#random.chance(machineLosesPower)) {
      this.#count("machine loses power");
      for (const machine of this.#machines.on(this.#identity.nodeId)) this.#machines.end(machine);
      this.#away(MACHINE_AWAY_MS);
    }
  }

  #away(span: Span): void {
    this.#life += 1;
    this.#timeline.after(this.#random.whole(span.least, span.most), () => this.start());
  }

  async #beat(): Promise<void> {
    const leases = this.#machines.on(this.#identity.nodeId).map(observationOf);
    await this.#send("heartbeat", { method: "POST", path: `${this.#path}/heartbeat`, body: { leases } });
  }

  async #poll(): Promise<void> {
    const life = this.#life;
    const response = await this.#send("assignments", { method: "GET", path: `${this.#path}/assignments` });
    if (response.status >= 300 || life !== this.#life) return;
    const { leases } = response.body as Assignments;
    const wanted = new Map<string, LeaseAssignment>(
      leases.filter((lease) => lease.desired === "running").map((lease) => [lease.lease_id, lease]),
    );
    for (const machine of this.#machines.on(this.#identity.nodeId)) {
      const lease = wanted.get(machine.leaseId);
      if (lease === undefined) this.#stop(machine);
      else this.#endAt(machine, Date.parse(lease.ends_at));
    }
    for (const lease of wanted.values()) {
      const isOver = Date.parse(lease.ends_at) <= this.#timeline.nowMs;
      if (this.#machines.current(lease.lease_id) === undefined && !isOver) this.#run(lease);
    }
    const gone = leases.filter((lease) => this.#machines.current(lease.lease_id) === undefined);
    await this.#report([
      ...this.#machines.on(this.#identity.nodeId).map(observationOf),
      ...gone
        .filter((lease) => lease.desired === "stopped")
        .map(({ lease_id }) => ({ lease_id, state: "absent" as const })),
    ]);
  }

  #run(lease: LeaseAssignment): void {
    const machine = this.#machines.create(lease.lease_id, this.#identity.nodeId);
    this.#endAt(machine, Date.parse(lease.ends_at));
    const startMs = this.#random.whole(START_MS.least, START_MS.most);
    if (this.#random.chance(this.#faults().failsToStart)) {
      this.#count("machine fails to start");
      this.#timeline.after(startMs, () => this.#machines.fail(machine, "The image could not be pulled."));
      return;
    }
    this.#timeline.after(startMs, () => this.#machines.becomeReady(machine));
    if (this.#random.chance(this.#faults().dies)) {
      this.#count("machine dies");
      this.#timeline.after(this.#random.whole(LIFE_MS.least, LIFE_MS.most), () => this.#machines.end(machine));
    }
  }

  #stop(machine: Machine): void {
    if (this.#endings.has(machine)) return;
    this.#endings.add(machine);
    this.#timeline.after(this.#random.whole(STOP_MS.least, STOP_MS.most), () => this.#machines.end(machine));
  }

  /** The agent's own timer, which needs nobody. It survives the agent, as the engine's does. */
  readonly #endsAt = new Map<Machine, number>();
  #endAt(machine: Machine, endsAtMs: number): void {
    if (this.#endsAt.get(machine) === endsAtMs) return;
    this.#endsAt.set(machine, endsAtMs);
    this.#timeline.at(endsAtMs, () => {
      if (this.#endsAt.get(machine) === endsAtMs) this.#machines.end(machine);
    });
  }

  async #report(leases: readonly LeaseObservation[]): Promise<void> {
    if (leases.length === 0) return;
    await this.#send("report", { method: "POST", path: `${this.#path}/reports`, body: { leases } });
  }

  get #path(): string {
    return `/v1/nodes/${this.#identity.nodeId}`;
  }

  async #send(channel: NodeChannel, request: ApiRequest): Promise<ApiResponse> {
    const { nodeId, key } = this.#identity;
    const counter = ++this.#counter;
    const body = request.body === undefined ? "" : JSON.stringify(request.body);
    const bodySha256 = createHash("sha256").update(body).digest("hex");
    const { method, path } = request;
    const text = nodeSignatureText({ method, path, bodySha256, nodeId, channel, counter });
    const signature = Buffer.from(key.sign(Buffer.from(text))).toString("base64url");
    const headers = { [NODE_SIGNATURE_HEADER]: formatNodeProof({ nodeId, channel, counter, signature }) };
    return await this.#network({ ...request, headers });
  }
}

function observationOf(machine: Machine): LeaseObservation {
  const state = machine.state === "gone" ? "absent" : machine.state;
  return {
    lease_id: machine.leaseId as LeaseObservation["lease_id"],
    state,
    ...(machine.reason === null ? {} : { reason: machine.reason }),
  };
}
