/** Plans the strokes of all flows, and makes them on several processes. */
import type { Violation } from "../simulation/always.ts";
import { type FlowOrder, runFlows } from "../simulation/run-orders.ts";
import { openStage } from "../simulation/stage.ts";
import { FLOWS } from "./flows.ts";
import type { Stroke } from "./plan.ts";
import { runFlow, strokesFor } from "./sweep.ts";

export interface Broken extends Stroke {
  readonly flow: string;
  /** The call that was struck; null: nothing was. */
  readonly label: string | null;
  readonly violations: readonly Violation[];
  readonly tail: readonly string[];
}

export interface SweepResult {
  readonly strokes: number;
  readonly broken: readonly Broken[];
}

const TAIL_LINES = 20;

/** @param every one of so many strokes is made; 1: all of them */
export async function runSweep(every: number, onFlow: (line: string) => void): Promise<SweepResult> {
  const orders: FlowOrder[] = [];
  const labels = new Map<string, readonly string[]>();
  const broken: Broken[] = [];
  const struck = new Set<string>();
  {
    await using stage = await openStage();
    for (const [flow, character] of Object.entries(FLOWS)) {
      const { calls, violations, outcome, tail } = await runFlow(stage, character, null);
      const nothing = { flow, call: -1, verdict: "works", label: null } as const;
      if (violations.length > 0) broken.push({ ...nothing, violations, tail: tail.slice(-TAIL_LINES) });
      const strokes = strokesFor(calls, struck);
      orders.push(...strokes.map((stroke) => ({ flow, stroke })));
      labels.set(
        flow,
        calls.map((call) => call.label),
      );
      onFlow(`${flow}: ${outcome}; ${calls.length} calls, ${strokes.length} points of their own`);
    }
  }
  const chosen = orders.filter((_, index) => index % every === 0);
  await runFlows(chosen, ({ flow, stroke }, { violations, tail }) => {
    if (violations.length === 0) return;
    const label = labels.get(flow)?.[stroke.call] ?? null;
    broken.push({ flow, ...stroke, label, violations, tail: tail.slice(-TAIL_LINES) });
  });
  return { strokes: chosen.length, broken };
}
