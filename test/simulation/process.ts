/**
 * One simulated server process. Every call that leaves it is an event of the timeline, where it may be delayed, fail,
 * or be the last thing that the process did. A killed process simply never hears of an answer again.
 */
import type { Clock } from "../../api/ports/clock.ts";
import type { SeededRandom } from "./random.ts";
import type { Scheduled, Timeline } from "./timeline.ts";

/** What becomes of one call. Lost calls end with an error for the caller, whatever they did. */
export type Verdict = "works" | "lostRequest" | "lostResponse" | "refused" | "crashBefore" | "crashAfter" | "pause";

/** Probabilities of what can go wrong with one call. */
export interface CallRates {
  readonly lostRequest: number;
  readonly lostResponse: number;
  readonly refused?: number;
}

export interface CallOptions {
  readonly rates?: CallRates;
  /** What the caller sees when its request or the answer is lost. */
  readonly lost?: () => Error;
  /** How long it takes the caller to notice. */
  readonly noticedAfterMs?: number;
  /** What the other side does when a request or an answer is lost. */
  readonly onLost?: () => Promise<void>;
  /** What happens instead of a call that the other side refuses; throws. */
  readonly refuse?: () => Promise<unknown>;
  /** False when the call must wait; `resume` then tries again. */
  readonly isReady?: (resume: () => void) => boolean;
}

/** Decides over the fate of calls: the dice of the simulation, or the plan of a sweep. */
export interface Fate {
  /** Called once for each call, in the order in which they take effect. */
  decide(label: string, process: SimulatedProcess, rates: CallRates | undefined): Verdict;
  /** Called before that, where somebody wants to know the state of the world in which a call is made. */
  look?(): Promise<void>;
  /** Until the call takes effect. */
  latencyMs(): number;
  /** From there until the caller hears of it. */
  answerDelayMs(): number;
}

const PAUSE_MS = { least: 20_000, most: 90_000 };

export class SimulatedProcess {
  readonly name: string;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  readonly #fate: Fate;
  /** How much its clock is ahead of the others'. */
  readonly #clockSkewMs: number;
  readonly #onCrash: (process: SimulatedProcess) => Promise<void>;
  readonly #ended = new AbortController();
  readonly #sleeping = new Set<(reason: Error) => void>();
  #pausedUntilMs = 0;
  #crashed = false;

  constructor(
    name: string,
    timeline: Timeline,
    random: SeededRandom,
    fate: Fate,
    clockSkewMs: number,
    onCrash: (process: SimulatedProcess) => Promise<void>,
  ) {
    this.name = name;
    this.timeline = timeline;
    this.random = random;
    this.#fate = fate;
    this.#clockSkewMs = random.whole(-clockSkewMs, clockSkewMs);
    this.#onCrash = onCrash;
  }

  get isAlive(): boolean {
    return !this.#crashed;
  }

  /** Aborted at a kill; for those outside who wait for the process, never for its own code. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  async crash(): Promise<void> {
    if (this.#crashed) return;
    this.#crashed = true;
    this.timeline.note(`${this.name} is killed`);
    await this.#onCrash(this);
    this.#bury();
  }

  /** The run is over. */
  close(): void {
    this.#crashed = true;
    this.#bury();
  }

  /**
   * Sleepers of a dead process wake with an error: whatever they still try reaches nobody, but they let go of signals
   * that would keep the whole run in memory.
   */
  #bury(): void {
    const reason = new Error(`${this.name} was killed`);
    this.#ended.abort(reason);
    for (const wake of [...this.#sleeping]) wake(reason);
  }

  /** Makes a call that leaves the process. Never settles once the process is dead. */
  call<Result>(label: string, effect: () => PromiseLike<Result> | Result, options: CallOptions = {}): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#crashed) return;
      const arrive = () =>
        this.whenAwake(async () => {
          if (options.isReady?.(() => this.timeline.after(0, arrive)) === false) return;
          if (this.#fate.look !== undefined) await this.#fate.look();
          const verdict = this.#fate.decide(label, this, options.rates);
          this.timeline.note(`${this.name} ${label}${verdict === "works" ? "" : ` [${verdict}]`}`);
          if (verdict === "pause") {
            this.#pausedUntilMs = this.timeline.nowMs + this.random.whole(PAUSE_MS.least, PAUSE_MS.most);
            this.timeline.at(this.#pausedUntilMs, arrive);
            return;
          }
          if (verdict === "crashBefore") return await this.crash();
          const happens = verdict === "refused" && options.refuse !== undefined ? options.refuse : effect;
          const reached = verdict !== "lostRequest";
          const answer = reached ? await outcomeOf(happens as typeof effect, resolve, reject) : () => undefined;
          if (verdict === "crashAfter") return await this.crash();
          if (verdict === "works" || verdict === "refused") return this.#deliver(this.#fate.answerDelayMs(), answer);
          await options.onLost?.();
          const error = options.lost?.() ?? new Error("the call was lost");
          this.#deliver(options.noticedAfterMs ?? 0, () => reject(error));
        });
      this.timeline.after(this.#fate.latencyMs(), arrive);
    });
  }

  /** Runs in the process: at once, or when its pause is over, or never when it is dead. */
  whenAwake(run: () => void | Promise<void>): void | Promise<void> {
    if (this.#crashed) return;
    if (this.timeline.nowMs >= this.#pausedUntilMs) return run();
    this.timeline.at(this.#pausedUntilMs, () => this.whenAwake(run));
  }

  /** The process's own clock and timers. */
  get clock(): Clock {
    return {
      nowMs: () => this.timeline.nowMs + this.#clockSkewMs,
      sleep: (ms, signal) => this.#sleep(ms, signal),
    };
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#crashed) return;
      let timer: Scheduled | undefined;
      const end = () => {
        timer?.cancel();
        signal?.removeEventListener("abort", stop);
        this.#sleeping.delete(die);
      };
      const stop = () => {
        end();
        reject(signal?.reason);
      };
      const die = (reason: Error) => {
        end();
        reject(reason);
      };
      const wake = () => {
        end();
        resolve();
      };
      this.#sleeping.add(die);
      timer = this.timeline.after(Math.max(0, ms), () => this.whenAwake(wake));
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  #deliver(delayMs: number, answer: () => void): void {
    if (delayMs === 0) answer();
    else this.timeline.after(delayMs, () => this.whenAwake(answer));
  }
}

/** Lets the effect happen now and keeps its outcome for later. */
async function outcomeOf<Result>(
  effect: () => PromiseLike<Result> | Result,
  resolve: (result: Result) => void,
  reject: (error: unknown) => void,
): Promise<() => void> {
  try {
    const result = await effect();
    return () => resolve(result);
  } catch (error) {
    return () => reject(error);
  }
}
