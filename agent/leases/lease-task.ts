/** One thing that is being done for a lease; a lease has at most one at a time. */
export interface LeaseTask {
  readonly kind: "starting" | "stopping";
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

/** A workload's log on its way to the control plane. */
export interface LogFollower {
  readonly abort: AbortController;
  readonly done: Promise<void>;
}
