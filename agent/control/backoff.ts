import type { Clock } from "../ports.ts";

const firstMs = 500;
const longestMs = 15_000;

/** Waits between failed attempts: longer each time, with a share of chance so that a fleet does not come back at once. */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: () => number;
  #failures = 0;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  reset(): void {
    this.#failures = 0;
  }

  async wait(signal: AbortSignal): Promise<void> {
    const ms = Math.min(longestMs, firstMs * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    await this.#clock.sleep(ms * (0.5 + this.#random() / 2), signal);
  }
}
