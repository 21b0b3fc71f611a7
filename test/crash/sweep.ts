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

/**
 * The same without what can't differ, in a fraction of the time.
 *
 * To be killed is to leave the world as the last trace outside of the process made it, so the server is killed after
 * each call that leaves one (a commit, a write, a launch), in each state of the world in which that call is made; to be
 * killed at a read, or within a transaction, is the same as after the trace before it.
 * An error is the code's to handle where it meets it, so the request and the answer of a call are lost once in each
 * place of the code, which the call before it tells; a call without a trace can only be missed.
 *
 * @param struck what was struck before, in other flows too
 */
export function strokesFor(calls: readonly MadeCall[], struck: Set<string>): Stroke[] {
  return [...calls.entries()].flatMap(([call, { label, state, mayLast }]) => {
    const isSure = label === "sql COMMIT" || !label.startsWith("sql");
    const lasts = mayLast && (isSure || calls[call + 1]?.state !== state);
    const place = `${calls[call - 1]?.label} → ${label}`;
    const points: [Verdict, string][] = [["lostRequest", place]];
    if (lasts) points.push(["lostResponse", place], ["crashAfter", `${state} ${label}`]);
    return points.flatMap(([verdict, point]): Stroke[] => {
      const key = `${verdict} ${point}`;
      if (struck.has(key)) return [];
      struck.add(key);
      return [{ call, verdict }];
    });
  });
}
