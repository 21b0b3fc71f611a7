import type { ExecEvent, ExecRequest, WorkloadRuntime, WorkloadSpec } from "../../agent/runtime/workload-runtime.ts";

let counter = 0;

/** A lease-like id that no other test of this or another run uses. */
export function uniqueId(prefix: string): string {
  counter += 1;
  return `${prefix}_test${process.pid.toString(36)}x${counter}x${process.hrtime.bigint().toString(36)}`;
}

export function workload(changes: Partial<WorkloadSpec> = {}): WorkloadSpec {
  return {
    leaseId: uniqueId("ls"),
    clusterId: uniqueId("cl"),
    rank: 0,
    worldSize: 1,
    image: null,
    startupScript: null,
    env: {},
    hostname: "rank-0",
    peers: [],
    masterAddress: "rank-0",
    masterPort: 29_500,
    gpus: [],
    cpus: 0.5,
    memoryMib: 256,
    pidsLimit: 128,
    ports: [],
    ...changes,
  };
}

/** The ranks of one cluster, all on this machine. */
export function gang(size: number, changes: Partial<WorkloadSpec> = {}): WorkloadSpec[] {
  const clusterId = uniqueId("cl");
  const ranks = Array.from({ length: size }, (_, rank) => ({ rank, hostname: `rank-${rank}`, address: null }));
  return ranks.map(({ rank, hostname }) =>
    workload({
      clusterId,
      rank,
      worldSize: size,
      hostname,
      peers: ranks.filter((peer) => peer.rank !== rank),
      ...changes,
    }),
  );
}

export function execRequest(command: readonly string[], changes: Partial<ExecRequest> = {}): ExecRequest {
  return { execId: uniqueId("exe"), command, stdin: null, env: {}, signal: new AbortController().signal, ...changes };
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
}

/** Runs a command to its end. */
export async function execute(runtime: WorkloadRuntime, leaseId: string, request: ExecRequest): Promise<ExecResult> {
  return collect(runtime.exec(leaseId, request));
}

export function shell(runtime: WorkloadRuntime, leaseId: string, script: string): Promise<ExecResult> {
  return execute(runtime, leaseId, execRequest(["sh", "-c", script]));
}

export async function collect(events: AsyncIterable<ExecEvent>): Promise<ExecResult> {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const text = { stdout: "", stderr: "" };
  let exitCode: number | null = null;
  for await (const event of events) {
    if ("exitCode" in event) {
      exitCode = event.exitCode;
    } else {
      text[event.stream] += decoders[event.stream].decode(event.data, { stream: true });
    }
  }
  return { ...text, exitCode };
}

/** Waits until `condition` holds; fails with `what` when it does not within 45 seconds. */
export async function eventually(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadlineMs = performance.now() + 45_000;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) {
      throw new Error(`this did not happen in time: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
