/** What one report about one lease changes in what is believed of it. Pure. */
import type { LeaseObservation } from "@volley/schema/resources/node";
import type { leases } from "../db/tables.ts";

type LeaseRow = typeof leases.$inferSelect;
export type KnownLease = Pick<LeaseRow, "desired" | "observed" | "observedAt" | "unseenSince" | "reason" | "exitCode">;
export type LeaseChange = Partial<Pick<LeaseRow, "observed" | "observedAt" | "unseenSince" | "reason" | "exitCode">>;

/** A main process moves on one way; a report that was overtaken must not take it back. */
const ORDER = { none: 0, starting: 1, ready: 2, exited: 3, failed: 4 } as const;

/** @returns null when nothing changes */
export function weighSighting(lease: KnownLease, seen: LeaseObservation, nowMs: number): LeaseChange | null {
  if (seen.state !== "absent" && lease.observed !== "absent" && ORDER[seen.state] < ORDER[lease.observed]) return null;
  if (seen.state === lease.observed) return lease.unseenSince === null ? null : { unseenSince: null };
  return {
    observed: seen.state,
    observedAt: nowMs,
    unseenSince: null,
    // Why a lease ended was said when it was stopped.
    ...(lease.desired === "stopped"
      ? {}
      : { reason: seen.reason?.replaceAll("\0", "") ?? null, exitCode: seen.exit_code ?? lease.exitCode }),
  };
}

/**
 * A heartbeat left the lease out. One may have been on its way while the lease was being started, so it takes more
 * than one over `absenceMs`; and a lease that was never seen and is to run may simply not have been heard of yet.
 * @param seenBeforeMs the heartbeat before this one
 */
export function weighOmission(
  lease: KnownLease,
  nowMs: number,
  seenBeforeMs: number,
  absenceMs: number,
): LeaseChange | null {
  if (lease.observed === "absent" || lease.desired === "reserved") return null;
  if (lease.observed === "none" && lease.desired === "running") return null;
  if (lease.unseenSince === null) return { unseenSince: Math.max(seenBeforeMs, lease.observedAt ?? 0) };
  if (nowMs - lease.unseenSince < absenceMs) return null;
  return {
    observed: "absent",
    observedAt: nowMs,
    ...(lease.desired === "stopped" ? {} : { reason: "It vanished from the machine." }),
  };
}
