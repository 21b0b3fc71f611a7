/** Every call of every flow, struck before and after: the flow must come to its proper end all the same. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { openStage, type Stage } from "../simulation/stage.ts";
import { FLOWS } from "./flows.ts";
import { runFlow, strokesFor } from "./sweep.ts";

const FLOW_TIMEOUT_MS = 300_000;

let stage: Stage & AsyncDisposable;
const struck = new Set<string>();

beforeAll(async () => {
  stage = await openStage();
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

it.each(Object.entries(FLOWS))(
  "%s: survives whatever happens to any one call",
  async (name, character) => {
    const undisturbed = await runFlow(stage, character, null);
    expect(undisturbed.violations).toEqual([]);
    const { calls, outcome } = undisturbed;
    const strokes = strokesFor(calls, struck);
    console.log(`${name} → ${outcome}: ${calls.length} calls, ${strokes.length} points`);
    const broken: unknown[] = [];
    for (const stroke of strokes) {
      const { violations, tail } = await runFlow(stage, character, stroke);
      if (violations.length === 0) continue;
      broken.push({ ...stroke, label: calls[stroke.call]?.label, violations, tail: tail.slice(-20) });
    }
    expect(broken).toEqual([]);
  },
  FLOW_TIMEOUT_MS,
);
