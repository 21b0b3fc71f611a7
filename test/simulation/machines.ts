/** The machines as they really are. What Volley believes of them is checked against this. */
import type postgres from "postgres";
import type { Violation } from "./always.ts";
import type { Timeline } from "./timeline.ts";

/** A machine that runs and that no live lease stands for may do so for this long. */
const LEAK_LIMIT_MS = 60_000;
/** One that is to be gone, and that Volley goes on asking to stop. */
const TEARDOWN_LIMIT_MS = 60 * 60_000;

export interface Machine {
  readonly leaseId: string;
  readonly nodeId: string;
  readonly createdMs: number;
  state: "starting" | "ready" | "failed" | "gone";
  reason: string | null;
  readyMs: number | null;
  goneMs: number | null;
  /** Since when no live lease has stood for it. */
  leakedSinceMs: number | null;
}

interface KnownLease {
  readonly id: string;
  readonly desired: string;
  readonly released: boolean;
  readonly slots: readonly number[];
}

export class Machines {
  readonly #timeline: Timeline;
  /** Every machine that ever was, by lease; a lease that is launched again after its machine was gone has two. */
  readonly #byLease = new Map<string, Machine[]>();

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  get alive(): readonly Machine[] {
    return [...this.#byLease.values()].flat().filter((machine) => machine.state !== "gone");
  }

  /** The machine of a lease that is there now. */
  current(leaseId: string): Machine | undefined {
    return this.#byLease.get(leaseId)?.find((machine) => machine.state !== "gone");
  }

  on(nodeId: string): Machine[] {
    return this.alive.filter((machine) => machine.nodeId === nodeId);
  }

  /** Milliseconds for which a lease's machines were up within a span of time. */
  upMs(leaseId: string, fromMs: number, untilMs: number): number {
    return (this.#byLease.get(leaseId) ?? []).reduce((sum, machine) => {
      if (machine.readyMs === null) return sum;
      const from = Math.max(fromMs, machine.readyMs);
      const until = Math.min(untilMs, machine.goneMs ?? Number.POSITIVE_INFINITY);
      return sum + Math.max(0, until - from);
    }, 0);
  }

  create(leaseId: string, nodeId: string): Machine {
    const machine: Machine = {
      leaseId,
      nodeId,
      createdMs: this.#timeline.nowMs,
      state: "starting",
      reason: null,
      readyMs: null,
      goneMs: null,
      leakedSinceMs: null,
    };
    const all = this.#byLease.get(leaseId) ?? [];
    this.#byLease.set(leaseId, all);
    all.push(machine);
    this.#timeline.note(`machine of ${leaseId} is created${all.length > 1 ? " again" : ""}`);
    return machine;
  }

  becomeReady(machine: Machine): void {
    if (machine.state !== "starting") return;
    machine.state = "ready";
    machine.readyMs = this.#timeline.nowMs;
  }

  fail(machine: Machine, reason: string): void {
    if (machine.state === "gone") return;
    machine.state = "failed";
    machine.reason = reason;
    this.#timeline.note(`machine of ${machine.leaseId} fails`);
  }

  end(machine: Machine): void {
    if (machine.state === "gone") return;
    machine.state = "gone";
    machine.goneMs = this.#timeline.nowMs;
    this.#timeline.note(`machine of ${machine.leaseId} is gone`);
  }

  /** Compares what runs with the leases that Volley knows. */
  async check(database: postgres.Sql): Promise<Violation[]> {
    const { alive } = this;
    if (alive.length === 0) return [];
    const known = await database<KnownLease[]>`
      SELECT id, desired, released_at IS NOT NULL AS released, to_json(slots) AS slots FROM leases
      WHERE id IN ${database(alive.map((machine) => machine.leaseId))}`;
    const leases = new Map(known.map((lease) => [lease.id, lease]));
    return [...this.#leaked(alive, leases), ...doubled(alive, leases)];
  }

  #leaked(alive: readonly Machine[], leases: ReadonlyMap<string, KnownLease>): Violation[] {
    const { nowMs } = this.#timeline;
    const found: Violation[] = [];
    for (const machine of alive) {
      const lease = leases.get(machine.leaseId);
      const isTracked = lease !== undefined && !lease.released && lease.desired !== "reserved";
      machine.leakedSinceMs = isTracked ? null : (machine.leakedSinceMs ?? nowMs);
      if (machine.leakedSinceMs !== null && nowMs - machine.leakedSinceMs > LEAK_LIMIT_MS) {
        found.push({ rule: "no machine runs without a live lease", detail: machine.leaseId });
      }
      if (nowMs - machine.createdMs > TEARDOWN_LIMIT_MS) {
        found.push({ rule: "every machine is torn down in time", detail: machine.leaseId });
      }
    }
    return found;
  }
}

function doubled(alive: readonly Machine[], leases: ReadonlyMap<string, KnownLease>): Violation[] {
  const taken = new Map<string, string>();
  const found: Violation[] = [];
  for (const machine of alive) {
    const lease = leases.get(machine.leaseId);
    for (const slot of lease?.released === false ? lease.slots : []) {
      const gpu = `${machine.nodeId}/${slot}`;
      const other = taken.get(gpu);
      if (other !== undefined) {
        found.push({ rule: "no GPU runs for two leases", detail: `${gpu}: ${other} and ${machine.leaseId}` });
      }
      taken.set(gpu, machine.leaseId);
    }
  }
  return found;
}
