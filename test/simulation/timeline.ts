/** Virtual time: what happens, in order of when. Nothing else moves the simulation. */
import { createHash, type Hash } from "node:crypto";
import { untilQuiet } from "./quiescence.ts";

export interface Scheduled {
  cancel(): void;
}

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void | Promise<void>;
  cancelled: boolean;
}

const TAIL_LINES = 400;

export class Timeline {
  #nowMs: number;
  #order = 0;
  /** A binary heap: the earliest entry first. */
  readonly #heap: Entry[] = [];
  readonly #hash: Hash = createHash("sha256");
  readonly #tail: string[] = [];
  readonly startMs: number;
  #steps = 0;

  constructor(startMs: number) {
    this.startMs = startMs;
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Runs at that moment, after everything that was scheduled for it before. */
  at(atMs: number, run: () => void | Promise<void>): Scheduled {
    const entry: Entry = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run, cancelled: false };
    this.#push(entry);
    return {
      cancel() {
        entry.cancelled = true;
      },
    };
  }

  after(delayMs: number, run: () => void | Promise<void>): Scheduled {
    return this.at(this.#nowMs + delayMs, run);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }

  /** Runs the next entry and all that it sets off. False when nothing is scheduled. */
  async step(): Promise<boolean> {
    const entry = this.#pop();
    if (entry === undefined) return false;
    if (entry.cancelled) return true;
    this.#nowMs = entry.atMs;
    this.#steps += 1;
    await entry.run();
    await untilQuiet();
    return true;
  }

  /** Notes what happened. Equal seeds give equal notes, and so equal hashes. */
  note(line: string): void {
    const text = `${((this.#nowMs - this.startMs) / 1000).toFixed(3)} ${line}`;
    this.#hash.update(text).update("\n");
    this.#tail.push(text);
    if (this.#tail.length > 2 * TAIL_LINES) this.#tail.splice(0, TAIL_LINES);
  }

  get tail(): readonly string[] {
    return this.#tail.slice(-TAIL_LINES);
  }

  /** Of all notes so far, hex. */
  get traceHash(): string {
    return this.#hash.copy().digest("hex");
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(entry, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const left = heap[child];
      const right = heap[child + 1];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child += 1;
      const below = heap[child];
      if (below === undefined || !isBefore(below, last)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

const isBefore = (one: Entry, other: Entry): boolean =>
  one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
