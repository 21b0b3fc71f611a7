import { join } from "node:path";
import { readJsonFile, writeJsonFile } from "./json-file.ts";

/** How a lease came to its end on this machine; it is not started again afterwards. */
export interface LeaseOutcome {
  readonly state: "exited" | "failed" | "ended";
  readonly exitCode: number | null;
  readonly reason: string | null;
}

/** What must be remembered of a lease when the agent starts again and the control plane is silent. */
export interface LeaseEntry {
  readonly clusterId: string;
  readonly endsAtMs: number;
  readonly desired: "running" | "stopped";
  /** It was verified ready once. */
  readonly ready: boolean;
  readonly outcome: LeaseOutcome | null;
  /** How far its log was delivered: the number of the next chunk, and where to go on reading. */
  readonly log: { readonly nextSequence: number; readonly cursor: string | null };
}

/** `running` until the exit code was delivered. An execution in the book is never started again. */
export interface ExecutionEntry {
  readonly leaseId: string;
  readonly state: "running" | "delivered";
}

interface Book {
  readonly leases: Record<string, LeaseEntry>;
  readonly executions: Record<string, ExecutionEntry>;
  /** Server time less the machine's own, when last heard. */
  readonly serverOffsetMs: number;
}

/**
 * The agent's memory of what it has begun, on disk before it is done: after a crash nothing is lost that runs, and
 * nothing runs twice.
 */
export class LeaseBook {
  readonly #path: string;
  readonly #leases: Map<string, LeaseEntry>;
  readonly #executions: Map<string, ExecutionEntry>;
  #serverOffsetMs: number;

  constructor(directory: string) {
    this.#path = join(directory, "leases.json");
    const book = readJsonFile<Book>(this.#path);
    this.#leases = new Map(Object.entries(book?.leases ?? {}));
    this.#executions = new Map(Object.entries(book?.executions ?? {}));
    this.#serverOffsetMs = book?.serverOffsetMs ?? 0;
  }

  get leases(): ReadonlyMap<string, LeaseEntry> {
    return this.#leases;
  }

  get executions(): ReadonlyMap<string, ExecutionEntry> {
    return this.#executions;
  }

  get serverOffsetMs(): number {
    return this.#serverOffsetMs;
  }

  putLease(leaseId: string, entry: LeaseEntry): void {
    this.#leases.set(leaseId, entry);
    this.#save();
  }

  /** Changes a lease that is in the book; does nothing to one that no longer is. */
  changeLease(leaseId: string, changes: Partial<LeaseEntry>): void {
    const entry = this.#leases.get(leaseId);
    if (entry !== undefined) {
      this.putLease(leaseId, { ...entry, ...changes });
    }
  }

  forgetLease(leaseId: string): void {
    if (this.#leases.delete(leaseId)) {
      this.#save();
    }
  }

  /** @param key of one execution in one lease */
  putExecution(key: string, entry: ExecutionEntry): void {
    this.#executions.set(key, entry);
    this.#save();
  }

  forgetExecution(key: string): void {
    if (this.#executions.delete(key)) {
      this.#save();
    }
  }

  /** A change of less than a second is not worth a write. */
  noteServerOffset(offsetMs: number): void {
    if (Math.abs(offsetMs - this.#serverOffsetMs) > 1_000) {
      this.#serverOffsetMs = offsetMs;
      this.#save();
    }
  }

  #save(): void {
    const book: Book = {
      leases: Object.fromEntries(this.#leases),
      executions: Object.fromEntries(this.#executions),
      serverOffsetMs: this.#serverOffsetMs,
    };
    writeJsonFile(this.#path, book);
  }
}
