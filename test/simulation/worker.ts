/** Runs the seeds that its parent sends, each from an empty database of this process's own. */

import { runSeed } from "./run-seed.ts";
import type { SeedOrder } from "./run-seeds.ts";
import { openStage } from "./stage.ts";

const stage = await openStage();
let last: Promise<void> = Promise.resolve();

process.on("message", ({ seed, rentals }: SeedOrder) => {
  last = last.then(async () => {
    process.send?.(await runSeed(seed, { stage, rentals }));
  });
});
process.once("disconnect", async () => {
  await last;
  await stage[Symbol.asyncDispose]();
});
process.send?.("ready");
