/** One flow after the other, again and again, each time with another call struck. */
import type { Violation } from "../simulation/always.ts";
import { NO_FAULTS } from "../simulation/faults.ts";
import type { Verdict } from "../simulation/process.ts";
import { type Character, Renter } from "../simulation/renter.ts";
import { comeToRest } from "../simulation/run-seed.ts";
import type { Stage } from "../simulation/stage.ts";
import { World } from "../simulation/world.ts";
import { type MadeCall, Plan, type Stroke } from "./plan.ts";

/** Late enough for the chain to have confirmed the renter's wallet. */
const ARRIVAL_MS = 3_000;
const FLOW_MS_MAX = 30 * 60_000;
const LOOK_EVERY_MS = 30_000;

export interface FlowResult {
  readonly violations: readonly Violation[];
  readonly outcome: string;
  /** Every call of the server, in order. */
  readonly calls: readonly MadeCall[];
  readonly tail: readonly string[];
}

/** One flow, from an empty database to complete rest, with at most one call struck. */
export async function runFlow(stage: Stage, character: Character, stroke: Stroke | null): Promise<FlowResult> {
  let plan = new Plan(stroke, null);
  const world = await World.open({
    seed: "crash points",
    stage,
    faults: NO_FAULTS,
    processes: 1,
    isQuick: true,
    withAgents: false,
    taskPollMs: 10_000,
    renterPollSeconds: { least: 20, most: 30 },
    settings: { chainPollMs: 6_000, heartbeatIntervalSeconds: 60, marketRefreshMs: 60_000 },
    fate: (_random, _count, opened) => {
      if (stroke === null) plan = new Plan(null, opened);
      return plan;
    },
  });
  const renter = new Renter("renter", world, character);
  world.renters.push(renter);
  const look = () => world.checkNow();
  world.timeline.after(ARRIVAL_MS, () => {
    renter.run().catch((error: unknown) => world.fail("a renter's program does not break", String(error)));
  });
  const isDone = async () => {
    await look();
    return renter.outcome !== "unfinished";
  };
  const ended = await world.runUntil(isDone, FLOW_MS_MAX, LOOK_EVERY_MS);
  if (!ended && world.violations.length === 0) world.fail("the renter gets an end", renter.name);
  if (world.violations.length === 0) await comeToRest(world, look);
  world.close();
  return { violations: world.violations, outcome: renter.outcome, calls: plan.calls, tail: world.timeline.tail };
}

const ALL: readonly Verdict[] = ["crashBefore", "crashAfter", "lostRequest", "lostResponse"];

/**
 * Where a flow is struck, and how.
 *
 * A call that was struck before in an equal state of the world is left out, and so is what can't differ: a call that
 * leaves no trace outside of its process (a read, or a statement of a transaction that isn't committed yet) is lost in
 * one way only, and to be killed there is to be killed at the next call that leaves one.
 *
 * @param struck what was struck before, in other flows too; null strikes every call in every way
 */
export function strokesFor(calls: readonly MadeCall[], struck: Set<string> | null): Stroke[] {
  const strokes: Stroke[] = [];
  for (const [call, { label, state, mayLast }] of calls.entries()) {
    const isSure = label === "sql COMMIT" || !label.startsWith("sql");
    const lasts = mayLast && (isSure || calls[call + 1]?.state !== state);
    if (struck !== null) {
      const point = `${state} ${label}`;
      if (struck.has(point)) continue;
      struck.add(point);
    }
    const verdicts = struck === null || lasts ? ALL : (["lostRequest"] as const);
    strokes.push(...verdicts.map((verdict) => ({ call, verdict })));
  }
  return strokes;
}
