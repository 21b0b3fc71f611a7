/** Makes the runs that its parent orders, one after the other, on a database of this process's own. */
import { FLOWS } from "../crash/flows.ts";
import { runFlow } from "../crash/sweep.ts";
import type { FlowOrder, SeedOrder } from "./run-orders.ts";
import { runSeed } from "./run-seed.ts";
import { openStage } from "./stage.ts";

const stage = await openStage();
let last: Promise<void> = Promise.resolve();

async function run(order: SeedOrder | FlowOrder): Promise<object> {
  if ("seed" in order) return await runSeed(order.seed, { stage, rentals: order.rentals });
  const character = FLOWS[order.flow];
  if (character === undefined) throw new RangeError(`there is no flow "${order.flow}"`);
  return await runFlow(stage, character, order.stroke);
}

process.on("message", (order: SeedOrder | FlowOrder) => {
  last = last.then(async () => {
    process.send?.(await run(order));
  });
});
process.once("disconnect", async () => {
  await last;
  await stage[Symbol.asyncDispose]();
});
process.send?.("ready");
