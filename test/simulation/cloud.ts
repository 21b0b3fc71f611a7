/** A supplier with an API of its own, and the faults that such APIs are known for. */
import type { LeaseRef, ObservedLease, Supplier } from "../../api/ports/supplier.ts";
import type { Faults } from "./faults.ts";
import type { Machine, Machines } from "./machines.ts";
import type { SeededRandom } from "./random.ts";
import type { Timeline } from "./timeline.ts";

export interface Span {
  readonly least: number;
  readonly most: number;
}

export const START_MS: Span = { least: 500, most: 8_000 };
export const SLOW_START_MS: Span = { least: 20_000, most: 200_000 };
export const STOP_MS: Span = { least: 100, most: 10_000 };
export const LIFE_MS: Span = { least: 5_000, most: 200_000 };
const UNLISTED_MS: Span = { least: 1_000, most: 30_000 };
const STUBBORN_MS: Span = { least: 30_000, most: 600_000 };
const STALE_MS_MAX = 3_000;

interface Oddities {
  readonly unlistedUntilMs: number;
  readonly stubbornUntilMs: number;
}

export class Cloud implements Supplier {
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #machines: Machines;
  readonly #faults: () => Faults;
  readonly #count: (fault: string) => void;
  readonly #oddities = new WeakMap<Machine, Oddities>();

  constructor(
    timeline: Timeline,
    random: SeededRandom,
    machines: Machines,
    faults: () => Faults,
    count: (fault: string) => void,
  ) {
    this.#timeline = timeline;
    this.#random = random;
    this.#machines = machines;
    this.#faults = faults;
    this.#count = count;
  }

  async launch(gang: readonly LeaseRef[]): Promise<void> {
    for (const ref of gang) {
      if (this.#machines.current(ref.leaseId) === undefined) this.#create(ref);
      if (this.#happens("machine created in spite of an error", this.#faults().launchErrorButCreated)) {
        throw new Error("the supplier failed while it created the machine");
      }
    }
  }

  async observe(leases: readonly LeaseRef[]): Promise<readonly ObservedLease[]> {
    const { nowMs } = this.#timeline;
    return leases.flatMap((ref): ObservedLease[] => {
      if (this.#happens("machine left out of the list", this.#faults().observeLeavesOut)) return [];
      const machine = this.#machines.current(ref.leaseId);
      const seen = { leaseId: ref.leaseId, exitCode: null, observedAtMs: nowMs };
      const absent: ObservedLease = { ...seen, state: "absent", reason: null };
      if (machine === undefined || machine.state === "gone") return [absent];
      if (nowMs < (this.#oddities.get(machine)?.unlistedUntilMs ?? 0)) return [absent];
      if (this.#happens("running machine told to be absent", this.#faults().liesAbsent)) return [absent];
      const staleMs = this.#faults().staleObservation ? this.#random.whole(0, STALE_MS_MAX) : 0;
      const observedAtMs = Math.max(machine.readyMs ?? machine.createdMs, nowMs - staleMs);
      return [{ ...seen, observedAtMs, state: machine.state, reason: machine.reason }];
    });
  }

  async terminate(leases: readonly LeaseRef[]): Promise<void> {
    for (const ref of leases) {
      const machine = this.#machines.current(ref.leaseId);
      if (machine === undefined) {
        if (!this.#happens("terminate of a gone machine fails", this.#faults().terminateGoneFails)) continue;
        throw new Error("there is no such machine");
      }
      const stubbornUntilMs = this.#oddities.get(machine)?.stubbornUntilMs ?? 0;
      if (this.#timeline.nowMs < stubbornUntilMs) throw new Error("the machine can't be terminated yet");
      if (this.#happens("terminate without effect", this.#faults().terminateIgnored)) continue;
      this.#timeline.after(this.#draw(STOP_MS), () => this.#machines.end(machine));
    }
  }

  #create({ leaseId, nodeId }: LeaseRef): void {
    const { nowMs } = this.#timeline;
    const faults = this.#faults();
    const machine = this.#machines.create(leaseId, nodeId);
    const isUnlisted = this.#happens("machine not listed at first", faults.unlistedAtFirst);
    const isStubborn = this.#happens("machine not terminable at first", faults.stubborn);
    this.#oddities.set(machine, {
      unlistedUntilMs: nowMs + (isUnlisted ? this.#draw(UNLISTED_MS) : 0),
      stubbornUntilMs: nowMs + (isStubborn ? this.#draw(STUBBORN_MS) : 0),
    });
    const startMs = this.#draw(this.#happens("machine slow to start", faults.slowStart) ? SLOW_START_MS : START_MS);
    if (this.#happens("machine fails to start", faults.failsToStart)) {
      this.#timeline.after(startMs, () => this.#machines.fail(machine, "The image could not be pulled."));
      return;
    }
    this.#timeline.after(startMs, () => this.#machines.becomeReady(machine));
    if (this.#happens("machine dies", faults.dies)) {
      this.#timeline.after(this.#draw(LIFE_MS), () => this.#machines.end(machine));
    } else if (this.#happens("machine fails while it runs", faults.failsLater)) {
      this.#timeline.after(this.#draw(LIFE_MS), () => this.#machines.fail(machine, "The GPU fell off the bus."));
    }
  }

  #draw({ least, most }: Span): number {
    return this.#random.whole(least, most);
  }

  #happens(fault: string, rate: number): boolean {
    if (!this.#random.chance(rate)) return false;
    this.#count(fault);
    return true;
  }
}
