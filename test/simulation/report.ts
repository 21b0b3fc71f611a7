/** What a series of runs has shown. */
import type { SeedResult } from "./run-seed.ts";

const TAIL_LINES = 60;
const LINES_MAX = 60;

/** @param options that make the same run again */
export function printFailure(result: SeedResult, options: string): void {
  console.log(`\nSeed ${result.seed} broke a rule. The end of its trace:`);
  console.log(result.tail.slice(-TAIL_LINES).join("\n"));
  for (const { rule, detail } of result.violations) console.log(`BROKEN  ${rule}\n        ${detail}`);
  console.log(`Again:  npm run sim -- --seed ${result.seed} ${options} --trace\n`);
}

export class Summary {
  readonly #startedMs = performance.now();
  readonly #outcomes = new Map<string, number>();
  readonly #injected = new Map<string, number>();
  readonly #logged = new Map<string, number>();
  readonly #failed: string[] = [];
  #seeds = 0;
  #rentals = 0;
  #steps = 0;
  #virtualMs = 0;

  get seeds(): number {
    return this.#seeds;
  }

  get progress(): string {
    const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(0);
    return `${this.#seeds} seeds, ${this.#rentals} rentals, ${this.#failed.length} with violations, ${seconds} s`;
  }

  get hasFailed(): boolean {
    return this.#failed.length > 0;
  }

  add(result: SeedResult): void {
    this.#seeds += 1;
    this.#rentals += result.outcomes.length;
    this.#steps += result.steps;
    this.#virtualMs += result.virtualMs;
    if (result.violations.length > 0) this.#failed.push(result.seed);
    for (const outcome of result.outcomes) increase(this.#outcomes, outcome, 1);
    for (const [fault, count] of result.injected) increase(this.#injected, fault, count);
    for (const [message, count] of result.logged) increase(this.#logged, message, count);
  }

  print(): void {
    const wallSeconds = (performance.now() - this.#startedMs) / 1000;
    const virtualHours = this.#virtualMs / 3_600_000;
    printCounts("Rentals by outcome", this.#outcomes);
    printCounts("Faults injected", this.#injected);
    printCounts("Warnings and errors that Volley logged", this.#logged);
    console.log(`
${this.#seeds} seeds, ${this.#rentals} rentals, ${this.#steps} steps
${virtualHours.toFixed(1)} hours of virtual time in ${wallSeconds.toFixed(1)} s
${this.#failed.length} seeds with violations${this.hasFailed ? `: ${this.#failed.slice(0, 20).join(", ")}` : ""}`);
  }
}

function increase(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

function printCounts(title: string, counts: ReadonlyMap<string, number>): void {
  console.log(`\n${title}`);
  const sorted = [...counts].sort(([, one], [, other]) => other - one).slice(0, LINES_MAX);
  for (const [name, count] of sorted) console.log(`${String(count).padStart(9)}  ${name}`);
}
