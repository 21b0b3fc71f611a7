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
const REST_LOOK_MS = 30_000;

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
  world.timeline.after(ARRIVAL_MS, () => {
    renter.run().catch((error: unknown) => world.fail("a renter's program does not break", String(error)));
  });
  const ended = await world.runUntil(() => renter.outcome !== "unfinished", FLOW_MS_MAX);
  await world.checkNow();
  if (!ended && world.violations.length === 0) world.fail("the renter gets an end", renter.name);
  if (world.violations.length === 0) await comeToRest(world, () => world.checkNow(), REST_LOOK_MS);
  world.close();
  return { violations: world.violations, outcome: renter.outcome, calls: plan.calls, tail: world.timeline.tail };
}

const ALL: readonly Verdict[] = ["crashBefore", "crashAfter", "lostRequest", "lostResponse"];

/** Every call of a flow, in every way. */
export function allStrokes(calls: readonly MadeCall[]): Stroke[] {
  return [...calls.keys()].flatMap((call) => ALL.map((verdict) => ({ call, verdict })));
}

/**
 * The same without what can't differ, in a fraction of the time.
 *
 * A call that leaves a trace outside of its process (a commit, a write, a launch) is struck in each state of the world
 * in which it is made. To be killed before it is to be killed after the trace before it, so that is left out. A call
 * that leaves none (a read, or a statement of a transaction that isn't committed yet) can only be missed, and is so
 * once in each place of the code, which the call before it tells.
 *
 * @param struck what was struck before, in other flows too
 */
export function strokesFor(calls: readonly MadeCall[], struck: Set<string>): Stroke[] {
  return [...calls.entries()].flatMap(([call, { label, state, mayLast }]): Stroke[] => {
    const isSure = label === "sql COMMIT" || !label.startsWith("sql");
    const lasts = mayLast && (isSure || calls[call + 1]?.state !== state);
    const point = `${lasts ? state : (calls[call - 1]?.label ?? "")} ${label}`;
    if (struck.has(point)) return [];
    struck.add(point);
    const verdicts: readonly Verdict[] = lasts ? ["crashAfter", "lostRequest", "lostResponse"] : ["lostRequest"];
    return verdicts.map((verdict) => ({ call, verdict }));
  });
}
