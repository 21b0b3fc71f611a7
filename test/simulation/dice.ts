/** Fate by seeded chance, and a count of what it did. */
import type { Faults } from "./faults.ts";
import type { CallRates, Fate, SimulatedProcess, Verdict } from "./process.ts";
import type { SeededRandom } from "./random.ts";

const LATENCY_MS_MAX = 40;
const SLOW_ANSWER_MS = { least: 1_000, most: 15_000 };

export class Dice implements Fate {
  readonly #random: SeededRandom;
  readonly #count: (fault: string) => void;
  #faults: Faults;

  constructor(random: SeededRandom, faults: Faults, count: (fault: string) => void) {
    this.#random = random;
    this.#faults = faults;
    this.#count = count;
  }

  /** From now on other rates hold. */
  set faults(faults: Faults) {
    this.#faults = faults;
  }

  decide(label: string, _process: SimulatedProcess, rates: CallRates | undefined): Verdict {
    const verdict = this.#draw(label, rates);
    if (verdict !== "works") this.#count(`${label.slice(0, label.indexOf(" "))} ${verdict}`);
    return verdict;
  }

  latencyMs(): number {
    return this.#random.whole(0, LATENCY_MS_MAX);
  }

  answerDelayMs(): number {
    if (!this.#random.chance(this.#faults.slowAnswer)) return 0;
    this.#count("answer slow");
    return this.#random.whole(SLOW_ANSWER_MS.least, SLOW_ANSWER_MS.most);
  }

  #draw(label: string, rates: CallRates | undefined): Verdict {
    const { crash, pauseAtSupplier } = this.#faults;
    const pause = this.#faults.pause + (label.startsWith("supplier") ? pauseAtSupplier : 0);
    let draw = this.#random.fraction();
    const outcomes: [Verdict, number][] = [
      ["crashBefore", crash / 2],
      ["crashAfter", crash / 2],
      ["pause", pause],
      ["lostRequest", rates?.lostRequest ?? 0],
      ["lostResponse", rates?.lostResponse ?? 0],
      ["refused", rates?.refused ?? 0],
    ];
    for (const [verdict, rate] of outcomes) {
      draw -= rate;
      if (draw < 0) return verdict;
    }
    return "works";
  }
}
