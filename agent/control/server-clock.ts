import type { Clock } from "../ports.ts";
import type { LeaseBook } from "../state/lease-book.ts";

/**
 * The control plane's time, by which leases end. Between its answers it is carried on by the clock that does not jump;
 * after a restart without an answer yet, by the wall clock and the difference that was last known.
 */
export class ServerClock {
  readonly #clock: Clock;
  readonly #book: LeaseBook;
  #heard: { readonly serverMs: number; readonly atMonotonicMs: number } | null = null;

  constructor(clock: Clock, book: LeaseBook) {
    this.#clock = clock;
    this.#book = book;
  }

  /** Takes a server time that was written between the two moments of the monotonic clock. */
  hear(serverTime: string, sentMonotonicMs: number, receivedMonotonicMs: number): void {
    const serverMs = Date.parse(serverTime);
    if (Number.isNaN(serverMs)) {
      return;
    }
    this.#heard = { serverMs, atMonotonicMs: (sentMonotonicMs + receivedMonotonicMs) / 2 };
    this.#book.noteServerOffset(Math.round(this.nowMs() - this.#clock.nowMs()));
  }

  nowMs(): number {
    return this.#heard === null
      ? this.#clock.nowMs() + this.#book.serverOffsetMs
      : this.#heard.serverMs + (this.#clock.monotonicMs() - this.#heard.atMonotonicMs);
  }
}
