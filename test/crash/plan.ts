/** A fate that does one thing to one call, and counts the calls. */
import type { CallRates, Fate, SimulatedProcess, Verdict } from "../simulation/process.ts";

export interface Stroke {
  /** The call's number, from 0. */
  readonly call: number;
  readonly verdict: Verdict;
}

export class Plan implements Fate {
  readonly #stroke: Stroke | null;
  readonly labels: string[] = [];

  constructor(stroke: Stroke | null) {
    this.#stroke = stroke;
  }

  decide(label: string, _process: SimulatedProcess, _rates: CallRates | undefined): Verdict {
    const call = this.labels.push(label) - 1;
    return this.#stroke?.call === call ? this.#stroke.verdict : "works";
  }

  latencyMs(): number {
    return 2;
  }

  answerDelayMs(): number {
    return 0;
  }
}
