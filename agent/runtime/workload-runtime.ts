import type { DetectedGpu } from "../inventory/gpu.ts";

/** Another rank of the same cluster. `address` is null for a rank on this machine, else where its machine is reached. */
export interface WorkloadPeer {
  readonly rank: number;
  readonly hostname: string;
  readonly address: string | null;
}

/** A port of the workload that is reachable on the machine's own address. */
export interface WorkloadPort {
  readonly containerPort: number;
  readonly hostPort: number;
}

/** Everything that is needed to run one rank of a cluster: one lease is one workload. */
export interface WorkloadSpec {
  readonly leaseId: string;
  readonly clusterId: string;
  readonly rank: number;
  readonly worldSize: number;
  /** Null for the runtime's default image. The process runtime has no images and ignores it. */
  readonly image: string | null;
  /** Runs once at the start, its output is the log; when it ends with 0 the workload stays up, otherwise it exits. */
  readonly startupScript: string | null;
  readonly env: Readonly<Record<string, string>>;
  readonly hostname: string;
  readonly peers: readonly WorkloadPeer[];
  readonly masterAddress: string;
  readonly masterPort: number;
  readonly gpus: readonly DetectedGpu[];
  /** May be a fraction: 0.5 is half of one core's time. */
  readonly cpus: number;
  readonly memoryMib: number;
  readonly pidsLimit: number;
  readonly ports: readonly WorkloadPort[];
}

/** What is observed on the machine, whatever anybody believes should be there. */
export interface ObservedWorkload {
  readonly leaseId: string;
  readonly clusterId: string;
  readonly rank: number;
  readonly state: "starting" | "running" | "exited";
  /** Set when exited and known: 128 + n stands for an end by signal n. */
  readonly exitCode: number | null;
}

export type OutputStream = "stdout" | "stderr";

export interface LogChunk {
  readonly stream: OutputStream;
  readonly data: Uint8Array;
  /** Opaque: `logs` started with it goes on after this chunk, also after a restart of the agent. */
  readonly cursor: string;
}

export type ExecEvent = { readonly stream: OutputStream; readonly data: Uint8Array } | { readonly exitCode: number };

export interface ExecRequest {
  /** Marks every process of this exec, so that an abort, also of an earlier agent process, finds them all. */
  readonly execId: string;
  readonly command: readonly string[];
  readonly stdin: Uint8Array | null;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface StopOptions {
  readonly graceMs: number;
  /** Awaited when nothing runs any more and before the log goes, so that its end can still be read. */
  readonly beforeRemoval?: () => Promise<void>;
}

/** Runs leased workloads on this machine. Every verb may be repeated, and may run again after a crash half-way. */
export interface WorkloadRuntime {
  readonly kind: "container" | "process";
  /** One line that tells a person what isolates the workloads. */
  readonly description: string;
  /**
   * Makes the workload run; does nothing when it is there already. Fetching an image may take minutes: when `signal`
   * is aborted meanwhile, nothing is started and the signal's reason is thrown.
   * @throws WorkloadError with a code that the control plane passes on.
   */
  start(spec: WorkloadSpec, signal?: AbortSignal): Promise<void>;
  /** All workloads of this node, also those that an earlier agent process started. */
  list(): Promise<readonly ObservedWorkload[]>;
  /**
   * Runs a command inside the workload; the last event is its exit code. Aborting kills its processes and ends the
   * iteration by throwing the signal's reason.
   * @throws WorkloadError `not_running`, `exec_failed`
   */
  exec(leaseId: string, request: ExecRequest): AsyncIterable<ExecEvent>;
  /** Ends an exec that an earlier agent process began; harmless when there is none. */
  killExec(leaseId: string, execId: string): Promise<void>;
  /** The main process's output from `cursor` (null: from the start) as it comes; ends after the workload exited. */
  logs(leaseId: string, cursor: string | null, signal: AbortSignal): AsyncIterable<LogChunk>;
  /** SIGTERM, after `graceMs` SIGKILL; returns only when nothing of it is left. An absent workload is a success. */
  stop(leaseId: string, options: StopOptions): Promise<void>;
  /** Removes what crashed starts and stops have left and no workload needs. */
  sweep(): Promise<void>;
}

export type WorkloadErrorCode =
  | "image_unavailable"
  | "invalid_spec"
  | "start_failed"
  | "not_running"
  | "exec_failed"
  | "stop_failed"
  | "runtime_unavailable";

/** A failure with a code for programs and a sentence for people. */
export class WorkloadError extends Error {
  override readonly name = "WorkloadError";
  readonly code: WorkloadErrorCode;

  constructor(code: WorkloadErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
