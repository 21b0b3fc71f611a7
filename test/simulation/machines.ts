/**
 * The suppliers' machines as they really are, and the API through which Volley reaches them. What Volley believes of
 * them is checked against this.
 */
import type postgres from "postgres";
import type { LeaseRef, ObservedLease, Supplier } from "../../api/ports/supplier.ts";
import type { Violation } from "./always.ts";
import type { Faults } from "./faults.ts";
import type { SimulatedNode } from "./network.ts";
import type { SeededRandom } from "./random.ts";
import type { Timeline } from "./timeline.ts";

/** A machine that runs and that no live lease stands for may do so for this long. */
const LEAK_LIMIT_MS = 60_000;
/** One that is to be gone, and that Volley goes on asking to stop. */
const TEARDOWN_LIMIT_MS = 45 * 60_000;
const START_MS = { least: 500, most: 8_000 };
const SLOW_START_MS = { least: 20_000, most: 200_000 };
const STOP_MS = { least: 100, most: 10_000 };
const UNLISTED_MS = { least: 1_000, most: 30_000 };
const STALE_MS_MAX = 3_000;
const LIFE_MS = { least: 5_000, most: 400_000 };
const STUBBORN_MS = { least: 30_000, most: 600_000 };

interface Machine {
  readonly leaseId: string;
  readonly nodeId: string;
  readonly createdMs: number;
  readonly unlistedUntilMs: number;
  readonly stubbornUntilMs: number;
  state: "starting" | "ready" | "failed" | "gone";
  reason: string | null;
  readyMs: number | null;
  goneMs: number | null;
  /** Since when no live lease has stood for it. */
  leakedSinceMs: number | null;
}

export class Machines implements Supplier {
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #nodes: ReadonlyMap<string, SimulatedNode>;
  readonly #faults: () => Faults;
  readonly #count: (fault: string) => void;
  /** Every machine that ever was, by lease; a lease that is launched again after its machine was gone has two. */
  readonly #byLease = new Map<string, Machine[]>();

  constructor(
    timeline: Timeline,
    random: SeededRandom,
    nodes: readonly SimulatedNode[],
    faults: () => Faults,
    count: (fault: string) => void,
  ) {
    this.#timeline = timeline;
    this.#random = random;
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
    this.#faults = faults;
    this.#count = count;
  }

  get alive(): readonly { readonly leaseId: string; readonly nodeId: string }[] {
    return [...this.#byLease.values()].flat().filter((machine) => machine.state !== "gone");
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

  async launch(gang: readonly LeaseRef[]): Promise<void> {
    for (const ref of gang) {
      if (!this.#nodes.has(ref.nodeId)) throw new Error(`there is no machine ${ref.nodeId}`);
      if (this.#current(ref.leaseId) === undefined) this.#create(ref);
      if (this.#happens("machine created in spite of an error", this.#faults().launchErrorButCreated)) {
        throw new Error("the supplier failed while it created the machine");
      }
    }
  }

  async observe(leases: readonly LeaseRef[]): Promise<readonly ObservedLease[]> {
    const { nowMs } = this.#timeline;
    return leases.flatMap((ref): ObservedLease[] => {
      if (this.#happens("machine left out of the list", this.#faults().observeLeavesOut)) return [];
      const machine = this.#current(ref.leaseId) ?? this.#byLease.get(ref.leaseId)?.at(-1);
      const seen = { leaseId: ref.leaseId, exitCode: null, observedAtMs: nowMs };
      if (machine === undefined || machine.state === "gone" || nowMs < machine.unlistedUntilMs) {
        return [{ ...seen, state: "absent" as const, reason: null }];
      }
      const staleMs = this.#faults().crash > 0 ? this.#random.whole(0, STALE_MS_MAX) : 0;
      const observedAtMs = Math.max(machine.readyMs ?? machine.createdMs, nowMs - staleMs);
      return [{ ...seen, observedAtMs, state: machine.state, reason: machine.reason }];
    });
  }

  async terminate(leases: readonly LeaseRef[]): Promise<void> {
    for (const ref of leases) {
      const machine = this.#current(ref.leaseId);
      if (machine === undefined) continue;
      if (this.#timeline.nowMs < machine.stubbornUntilMs) throw new Error("the machine can't be terminated yet");
      if (this.#happens("terminate without effect", this.#faults().terminateIgnored)) continue;
      this.#timeline.after(this.#random.whole(STOP_MS.least, STOP_MS.most), () => this.#end(machine));
    }
  }

  /** Compares what runs with the leases that Volley knows. */
  async check(database: postgres.Sql): Promise<Violation[]> {
    const alive = [...this.#byLease.values()].flat().filter((machine) => machine.state !== "gone");
    if (alive.length === 0) return [];
    const known = await database<{ id: string; desired: string; released: boolean; slots: number[] }[]>`
      SELECT id, desired, released_at IS NOT NULL AS released, slots FROM leases
      WHERE id IN ${database(alive.map((machine) => machine.leaseId))}`;
    const leases = new Map(known.map((lease) => [lease.id, lease]));
    const { nowMs } = this.#timeline;
    const found: Violation[] = [];
    for (const machine of alive) {
      const lease = leases.get(machine.leaseId);
      const tracked = lease !== undefined && !lease.released && lease.desired !== "reserved";
      machine.leakedSinceMs = tracked ? null : (machine.leakedSinceMs ?? nowMs);
      if (machine.leakedSinceMs !== null && nowMs - machine.leakedSinceMs > LEAK_LIMIT_MS) {
        found.push({ rule: "no machine runs without a live lease", detail: machine.leaseId });
      }
      if (nowMs - machine.createdMs > TEARDOWN_LIMIT_MS) {
        found.push({ rule: "every machine is torn down in time", detail: machine.leaseId });
      }
    }
    return [...found, ...this.#doubled(alive, leases)];
  }

  #doubled(
    alive: readonly Machine[],
    leases: ReadonlyMap<string, { slots: number[]; released: boolean }>,
  ): Violation[] {
    const taken = new Map<string, string>();
    const found: Violation[] = [];
    for (const machine of alive) {
      const lease = leases.get(machine.leaseId);
      for (const slot of lease?.released === false ? lease.slots : []) {
        const key = `${machine.nodeId}/${slot}`;
        const other = taken.get(key);
        if (other !== undefined) {
          found.push({ rule: "no GPU runs for two leases", detail: `${key}: ${other} and ${machine.leaseId}` });
        }
        taken.set(key, machine.leaseId);
      }
    }
    return found;
  }

  #current(leaseId: string): Machine | undefined {
    return this.#byLease.get(leaseId)?.find((machine) => machine.state !== "gone");
  }

  #happens(fault: string, rate: number): boolean {
    if (!this.#random.chance(rate)) return false;
    this.#count(fault);
    return true;
  }

  #span({ least, most }: { least: number; most: number }): number {
    return this.#random.whole(least, most);
  }

  #create({ leaseId, nodeId }: LeaseRef): void {
    const { nowMs } = this.#timeline;
    const faults = this.#faults();
    const unlisted = this.#happens("machine not listed at first", faults.unlistedAtFirst) ? this.#span(UNLISTED_MS) : 0;
    const stubborn = this.#happens("machine not terminable at first", faults.stubborn) ? this.#span(STUBBORN_MS) : 0;
    const machine: Machine = {
      leaseId,
      nodeId,
      createdMs: nowMs,
      unlistedUntilMs: nowMs + unlisted,
      stubbornUntilMs: nowMs + stubborn,
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
    const slow = this.#happens("machine slow to start", faults.slowStart);
    const startMs = this.#span(slow ? SLOW_START_MS : START_MS);
    if (this.#happens("machine fails to start", faults.failsToStart)) {
      this.#timeline.after(startMs, () => this.#fail(machine, "The image could not be pulled."));
      return;
    }
    this.#timeline.after(startMs, () => {
      if (machine.state !== "starting") return;
      machine.state = "ready";
      machine.readyMs = this.#timeline.nowMs;
    });
    if (this.#happens("machine dies", faults.dies)) {
      this.#timeline.after(this.#span(LIFE_MS), () => this.#end(machine));
    } else if (this.#happens("machine fails while it runs", faults.failsLater)) {
      this.#timeline.after(this.#span(LIFE_MS), () => this.#fail(machine, "The GPU fell off the bus."));
    }
  }

  #fail(machine: Machine, reason: string): void {
    if (machine.state === "gone") return;
    machine.state = "failed";
    machine.reason = reason;
    this.#timeline.note(`machine of ${machine.leaseId} fails`);
  }

  #end(machine: Machine): void {
    if (machine.state === "gone") return;
    machine.state = "gone";
    machine.goneMs = this.#timeline.nowMs;
    this.#timeline.note(`machine of ${machine.leaseId} is gone`);
  }
}
