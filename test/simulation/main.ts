/**
 * `npm run sim -- [--seeds 300] [--seed 1] [--rentals 4] [--trace]`: so many runs from seeds S, S+1, …, each with so
 * many rentals. `npm run sim -- --days 30 [--seed 1] [--rentals 4]`: so many days in one world, with so many rentals a
 * day. Exits with 1 when a rule was broken, after saying how to repeat exactly that run.
 */
import { parseArgs } from "node:util";
import { printFailure, Summary } from "./report.ts";
import { runDays } from "./run-days.ts";
import { runSeeds } from "./run-orders.ts";
import { openStage } from "./stage.ts";

const PROGRESS_EVERY = 25;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    rentals: { type: "string", default: "4" },
    days: { type: "string", default: "0" },
    trace: { type: "boolean", default: false },
  },
});

function whole(name: "seeds" | "seed" | "rentals" | "days", least = 1): number {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= least && number <= 10_000_000) return number;
  throw new RangeError(`--${name} takes a whole number from ${least} on, not "${values[name]}"`);
}

const [seeds, first, rentals, days] = [whole("seeds"), whole("seed"), whole("rentals"), whole("days", 0)];
const summary = new Summary();

async function allSeeds(): Promise<void> {
  const orders = Array.from({ length: seeds }, (_, index) => ({ seed: String(first + index), rentals }));
  await runSeeds(orders, (result) => {
    summary.add(result);
    if (values.trace) console.log(result.tail.join("\n"));
    if (result.violations.length > 0) printFailure(result, `--seeds 1 --rentals ${rentals}`);
    if (summary.seeds % PROGRESS_EVERY === 0) console.log(summary.progress);
  });
}

async function allDays(): Promise<void> {
  await using stage = await openStage();
  const onDay = (day: number) => console.log(`day ${day}`);
  const result = await runDays(String(first), { stage, days, rentals: days * rentals, onDay });
  summary.add(result);
  if (values.trace) console.log(result.tail.join("\n"));
  if (result.violations.length > 0) printFailure(result, `--days ${days} --rentals ${rentals}`);
}

await (days > 0 ? allDays() : allSeeds());
summary.print();
process.exitCode = summary.hasFailed ? 1 : 0;
