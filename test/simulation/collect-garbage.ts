/**
 * Each virtual machine of a chain holds megabytes that the collector doesn't know of, so it would come far too late by
 * itself where one run follows the other.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const RUNS_BETWEEN = 8;

let runs = 0;
let collect: (() => void) | undefined;

/** Called once per run. */
export function collectGarbage(): void {
  runs += 1;
  if (runs % RUNS_BETWEEN !== 0) return;
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
}
