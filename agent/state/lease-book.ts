import { join } from "node:path";
import type { AgentLog } from "../ports.ts";
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
 * nothing runs twice. On a full disk nothing new is begun, and what has happened is kept in memory until there is room:
 * it must end, and be told of, all the same.
 */
export class LeaseBook {
  readonly #path: string;
  readonly #log: AgentLog;
  readonly #leases: Map<string, LeaseEntry>;
  readonly #executions: Map<string, ExecutionEntry>;
  #serverOffsetMs: number;
  #isSaved = true;

  constructor(directory: string, log: AgentLog) {
    this.#path = join(directory, "leases.json");
    this.#log = log;
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

  /** False when it cannot be written down: then it is not in the book, and must not be begun. */
  addLease(leaseId: string, entry: LeaseEntry): boolean {
    this.#leases.set(leaseId, entry);
    return this.#save() || !this.#leases.delete(leaseId);
  }

  /** Changes a lease that is in the book; does nothing to one that no longer is. */
  changeLease(leaseId: string, changes: Partial<LeaseEntry>): void {
    const entry = this.#leases.get(leaseId);
    if (entry !== undefined) {
      this.#leases.set(leaseId, { ...entry, ...changes });
      this.#save();
    }
  }

  forgetLease(leaseId: string): void {
    if (this.#leases.delete(leaseId)) {
      this.#save();
    }
  }

  /**
   * False when it cannot be written down: then it is not in the book, and must not be begun.
   * @param key of one execution in one lease
   */
  addExecution(key: string, leaseId: string): boolean {
    this.#executions.set(key, { leaseId, state: "running" });
    return this.#save() || !this.#executions.delete(key);
  }

  noteDelivery(key: string, leaseId: string): void {
    this.#executions.set(key, { leaseId, state: "delivered" });
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

  /** Writes what could not be written before. */
  saveRest(): void {
    if (!this.#isSaved) {
      this.#save();
    }
  }

  #save(): boolean {
    const book: Book = {
      leases: Object.fromEntries(this.#leases),
      executions: Object.fromEntries(this.#executions),
      serverOffsetMs: this.#serverOffsetMs,
    };
    const wasSaved = this.#isSaved;
    try {
      writeJsonFile(this.#path, book);
      this.#isSaved = true;
    } catch (error) {
      this.#isSaved = false;
      if (wasSaved) {
        this.#log.warn("What happens on this machine cannot be written down; it will be tried again.", {
          problem: String(error),
        });
      }
    }
    return this.#isSaved;
  }
}
