/**
 * Where machines come from. Each call is one idempotent step: it may be repeated, and its answer may be lost.
 * `launch` of a lease that already runs and `terminate` of one that is gone succeed.
 */
export interface LeaseRef {
  readonly leaseId: string;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly rank: number;
}

export interface ObservedLease {
  readonly leaseId: string;
  readonly state: "starting" | "ready" | "exited" | "failed" | "absent";
  readonly reason: string | null;
  readonly exitCode: number | null;
  /** When the supplier last saw it so. */
  readonly observedAtMs: number;
}

export interface Supplier {
  /** Asks for all leases of one gang to be started. */
  launch(gang: readonly LeaseRef[]): Promise<void>;
  /** What is known of these leases now; a lease that the supplier can't tell about is left out. */
  observe(leases: readonly LeaseRef[]): Promise<readonly ObservedLease[]>;
  /** Asks for these leases to be stopped. Only an observation of `absent` says that they are. */
  terminate(leases: readonly LeaseRef[]): Promise<void>;
}
