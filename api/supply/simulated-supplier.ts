/**
 * Machines that exist only in memory, for trying out a network that is larger than what stands in the room, and for
 * tests: with faults, it does to us what clouds do. They are gone with the process.
 */
import type { Clock } from "../ports/clock.ts";
import type { Random } from "../ports/random.ts";
import type { LeaseRef, ObservedLease, Supplier } from "../ports/supplier.ts";

/** Probabilities are from 0 to 1. */
export interface SimulatedFaults {
  /** A launch fails and creates nothing. */
  readonly launchFails: number;
  /** A launch creates the machine and answers with an error. */
  readonly launchFailsAfterCreating: number;
  /** A machine comes up broken. */
  readonly startFails: number;
  /** For so long after its creation, a machine is in no list, and can't be terminated. */
  readonly unseenMs: number;
  /** A machine that is there is left out of an answer, as if it were gone. */
  readonly liesAbsent: number;
  /** A terminate succeeds without effect. */
  readonly terminateIgnored: number;
  /** A terminate fails. */
  readonly terminateFails: number;
  /** Terminating what is gone fails. */
  readonly terminateGoneFails: number;
  /** A machine that is ready dies before it is looked at. */
  readonly dies: number;
  /** Nothing answers. */
  readonly unreachable: boolean;
}

export const NO_FAULTS: SimulatedFaults = {
  launchFails: 0,
  launchFailsAfterCreating: 0,
  startFails: 0,
  unseenMs: 0,
  liesAbsent: 0,
  terminateIgnored: 0,
  terminateFails: 0,
  terminateGoneFails: 0,
  dies: 0,
  unreachable: false,
};

export interface SimulatedSupplier extends Supplier {
  /** May be changed at any time. */
  faults: SimulatedFaults;
  /** Leases whose machines exist, whether anybody can see them or not. */
  running(): readonly string[];
}

interface Machine {
  readonly createdAtMs: number;
  readonly readyAtMs: number;
  readonly visibleAtMs: number;
  readonly broken: boolean;
}

const START_MS_MIN = 300;
const START_MS_SPREAD = 1_700;

export function simulatedSupplier(
  ports: { readonly clock: Clock; readonly random: Random },
  faults: Partial<SimulatedFaults> = {},
): SimulatedSupplier {
  const machines = new Map<string, Machine>();
  const dice = () => {
    const [high = 0, low = 0] = ports.random.bytes(2);
    return (high * 256 + low) / 65_536;
  };
  const happens = (probability: number) => probability > 0 && dice() < probability;

  const supplier: SimulatedSupplier = {
    faults: { ...NO_FAULTS, ...faults },
    running: () => [...machines.keys()],

    async launch(gang) {
      reach();
      for (const { leaseId } of gang) {
        if (happens(supplier.faults.launchFails)) throw new Error("the supplier could not create the machine");
        if (!machines.has(leaseId)) machines.set(leaseId, create());
        if (happens(supplier.faults.launchFailsAfterCreating)) throw new Error("the supplier's answer was lost");
      }
    },

    async observe(refs) {
      reach();
      return refs.map((ref) => look(ref));
    },

    async terminate(refs) {
      reach();
      for (const { leaseId } of refs) {
        const machine = machines.get(leaseId);
        if (happens(supplier.faults.terminateFails)) throw new Error("the supplier could not terminate the machine");
        if (machine === undefined || !isVisible(machine)) {
          if (happens(supplier.faults.terminateGoneFails)) throw new Error("the supplier knows no such machine");
        } else if (!happens(supplier.faults.terminateIgnored)) machines.delete(leaseId);
      }
    },
  };

  function reach(): void {
    if (supplier.faults.unreachable) throw new Error("the supplier does not answer");
  }

  function create(): Machine {
    const createdAtMs = ports.clock.nowMs();
    return {
      createdAtMs,
      readyAtMs: createdAtMs + START_MS_MIN + Math.floor(dice() * START_MS_SPREAD),
      visibleAtMs: createdAtMs + supplier.faults.unseenMs,
      broken: happens(supplier.faults.startFails),
    };
  }

  function isVisible(machine: Machine): boolean {
    return ports.clock.nowMs() >= machine.visibleAtMs;
  }

  function look({ leaseId }: LeaseRef): ObservedLease {
    const observedAtMs = ports.clock.nowMs();
    const seen = { leaseId, reason: null, exitCode: null, observedAtMs };
    const machine = machines.get(leaseId);
    if (machine === undefined || !isVisible(machine) || happens(supplier.faults.liesAbsent)) {
      return { ...seen, state: "absent" };
    }
    if (observedAtMs < machine.readyAtMs) return { ...seen, state: "starting" };
    if (machine.broken) return { ...seen, state: "failed", reason: "The machine came up broken." };
    if (happens(supplier.faults.dies)) {
      machines.delete(leaseId);
      return { ...seen, state: "absent" };
    }
    return { ...seen, state: "ready" };
  }

  return supplier;
}
