/** One flow, from an empty database to complete rest, with at most one call struck. */
import type { Violation } from "../simulation/always.ts";
import { NO_FAULTS } from "../simulation/faults.ts";
import { type Character, Renter } from "../simulation/renter.ts";
import { comeToRest } from "../simulation/run-seed.ts";
import type { Stage } from "../simulation/stage.ts";
import { World } from "../simulation/world.ts";
import { Plan, type Stroke } from "./plan.ts";

const FLOW_MS_MAX = 30 * 60_000;
const LOOK_EVERY_MS = 5_000;

export interface FlowResult {
  readonly violations: readonly Violation[];
  readonly outcome: string;
  /** Every call of the server, in order. */
  readonly calls: readonly string[];
  /** How many of them were made when the flow had come to rest. */
  readonly tail: readonly string[];
}

export async function runFlow(stage: Stage, character: Character, stroke: Stroke | null): Promise<FlowResult> {
  const plan = new Plan(stroke);
  const world = await World.open({
    seed: "crash points",
    stage,
    faults: NO_FAULTS,
    processes: 1,
    withAgents: false,
    fate: () => plan,
  });
  const renter = new Renter("renter", world, character);
  world.renters.push(renter);
  const look = () => world.checkNow();
  world.timeline.after(1_000, () => {
    renter.run().catch((error: unknown) => world.fail("a renter's program does not break", String(error)));
  });
  const ended = await world.runUntil(
    async () => {
      await look();
      return renter.outcome !== "unfinished";
    },
    FLOW_MS_MAX,
    LOOK_EVERY_MS,
  );
  if (!ended && world.violations.length === 0) world.fail("the renter gets an end", renter.name);
  if (world.violations.length === 0) await comeToRest(world, look);
  return {
    violations: world.violations,
    outcome: renter.outcome,
    calls: plan.labels,
    tail: world.timeline.tail,
  };
}
