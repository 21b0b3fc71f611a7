/**
 * `npm run sim -- [--seeds 300] [--seed 1] [--rentals 4] [--trace]`: so many runs from seeds S, S+1, …, each with so
 * many rentals. Exits with 1 when a rule was broken, after saying how to repeat exactly that run.
 */
import { parseArgs } from "node:util";
import { printFailure, Summary } from "./report.ts";
import { runSeeds } from "./run-orders.ts";

const PROGRESS_EVERY = 25;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    rentals: { type: "string", default: "4" },
    trace: { type: "boolean", default: false },
  },
});

function whole(name: "seeds" | "seed" | "rentals"): number {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= 1 && number <= 10_000_000) return number;
  throw new RangeError(`--${name} takes a whole number from 1 on, not "${values[name]}"`);
}

const [seeds, first, rentals] = [whole("seeds"), whole("seed"), whole("rentals")];
const orders = Array.from({ length: seeds }, (_, index) => ({ seed: String(first + index), rentals }));
const summary = new Summary();
await runSeeds(orders, (result) => {
  summary.add(result);
  if (values.trace) console.log(result.tail.join("\n"));
  if (result.violations.length > 0) printFailure(result, rentals);
  if (summary.seeds % PROGRESS_EVERY === 0) console.log(summary.progress);
});
summary.print();
process.exitCode = summary.hasFailed ? 1 : 0;
