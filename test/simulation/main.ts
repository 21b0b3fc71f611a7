/**
 * `npm run sim -- --seeds N [--seed S] [--rentals R]`: N runs from seeds S, S+1, …, each with R rentals, on a Postgres
 * of its own. Exits with 1 when a rule was broken, after saying how to repeat exactly that run.
 */
import { parseArgs } from "node:util";
import { printFailure, Summary } from "./report.ts";
import { runSeed } from "./run-seed.ts";
import { openStage } from "./stage.ts";

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
await using stage = await openStage();
const summary = new Summary();
for (let index = 0; index < seeds; index++) {
  const result = await runSeed(String(first + index), { stage, rentals });
  summary.add(result);
  if (values.trace) console.log(result.tail.join("\n"));
  if (result.violations.length > 0) printFailure(result, rentals);
}
summary.print();
process.exitCode = summary.hasFailed ? 1 : 0;
