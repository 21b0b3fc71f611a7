import type { Clock } from "../../agent/ports.ts";

interface Timer {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Time that passes only when a test says so; whoever sleeps is woken in order. */
export class FakeClock implements Clock {
  #nowMs = 1_800_000_000_000;
  readonly #timers = new Set<Timer>();

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = { atMs: this.#nowMs + ms, wake: () => done() };
      const done = () => {
        this.#timers.delete(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      this.#timers.add(timer);
      signal?.addEventListener("abort", done, { once: true });
      if (signal?.aborted) {
        done();
      }
    });
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#next(untilMs); next !== null; next = this.#next(untilMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  /** Lets time pass, step by step, while something else waits for it. */
  async until(done: Promise<unknown>): Promise<void> {
    let finished = false;
    const finish = () => {
      finished = true;
    };
    done.then(finish, finish);
    for (let step = 0; step < 10_000 && !finished; step++) {
      await this.advance(100);
    }
    await done;
  }

  #next(untilMs: number): Timer | null {
    const [first] = [...this.#timers].filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
    return first ?? null;
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
