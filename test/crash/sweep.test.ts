/** Every call of every flow, struck before and after: the flow must come to its proper end all the same. */
import { describe, expect, it } from "vitest";
import { type FlowOrder, runFlows } from "../simulation/run-orders.ts";
import { openStage } from "../simulation/stage.ts";
import { FLOWS } from "./flows.ts";
import { runFlow, strokesFor } from "./sweep.ts";

const SWEEP_TIMEOUT_MS = 900_000;

describe("whatever happens to any one call of the server", () => {
  it(
    "the rental comes to its proper end",
    async () => {
      const orders: FlowOrder[] = [];
      const labels = new Map<string, readonly string[]>();
      const struck = new Set<string>();
      {
        await using stage = await openStage();
        for (const [flow, character] of Object.entries(FLOWS)) {
          const { calls, violations, outcome } = await runFlow(stage, character, null);
          expect(violations).toEqual([]);
          const strokes = strokesFor(calls, struck);
          orders.push(...strokes.map((stroke) => ({ flow, stroke })));
          labels.set(
            flow,
            calls.map((call) => call.label),
          );
          console.log(`${flow}: ${outcome}; ${calls.length} calls, ${strokes.length} points of their own`);
        }
      }
      const broken: unknown[] = [];
      await runFlows(orders, ({ flow, stroke }, { violations, tail }) => {
        if (violations.length === 0) return;
        broken.push({ flow, ...stroke, label: labels.get(flow)?.[stroke.call], violations, tail: tail.slice(-20) });
      });
      expect(broken).toEqual([]);
    },
    SWEEP_TIMEOUT_MS,
  );
});
