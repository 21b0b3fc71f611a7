import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { makeId } from "@volley/schema/ids";
import type { LeaseAssignment } from "@volley/sdk";
import type { HttpControlPlane } from "./http-control-plane.ts";

const mainPath = fileURLToPath(new URL("../../agent/main.ts", import.meta.url));

export function newId(kind: "lease" | "cluster" | "execution"): string {
  return makeId(kind, Date.now(), randomBytes(10));
}

/** The agent as its own process, as a supplier runs it. */
export function runAgent(
  args: readonly string[],
  stderr: "pipe" | number = "pipe",
): ChildProcess & { readonly errors: () => string } {
  const child = spawn(process.execPath, [mainPath, ...args], { stdio: ["ignore", "ignore", stderr] });
  let errors = "";
  child.stderr?.on("data", (data) => {
    errors += data;
  });
  return Object.assign(child, { errors: () => errors });
}

/** Wants a lease to run for an hour, with a script that says that it is up. */
export function lease(api: HttpControlPlane, changes: Partial<LeaseAssignment> = {}): LeaseAssignment {
  const assignment: LeaseAssignment = {
    leaseId: newId("lease"),
    clusterId: newId("cluster"),
    desired: "running",
    endsAt: new Date(Date.now() + 3_600_000).toISOString(),
    rank: 0,
    worldSize: 1,
    slots: [0],
    hostname: "rank-0",
    peers: [],
    masterAddress: "rank-0",
    masterPort: 29_500,
    image: null,
    startupScript: "echo the workload is up",
    env: { GREETING: "hello", snake_case: "kept" },
    cpuCores: 0.5,
    memoryMib: 128,
    pids: 64,
    ...changes,
  };
  api.plane.change(() => api.plane.leases.set(assignment.leaseId, assignment));
  return assignment;
}
