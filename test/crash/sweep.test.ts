/** Every call of every flow, struck before and after: the flow must come to its proper end all the same. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Verdict } from "../simulation/process.ts";
import { openStage, type Stage } from "../simulation/stage.ts";
import { FLOWS } from "./flows.ts";
import { runFlow } from "./sweep.ts";

const STROKES: readonly Verdict[] = ["crashBefore", "crashAfter", "lostRequest", "lostResponse"];
const FLOW_TIMEOUT_MS = 120_000;

let stage: Stage & AsyncDisposable;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

describe.each(Object.entries(FLOWS))("%s", (_name, character) => {
  it(
    "survives whatever happens to any one call",
    async () => {
      const { calls, violations, outcome } = await runFlow(stage, character, null);
      expect(violations).toEqual([]);
      console.log(`${calls.length} calls, ${calls.length * STROKES.length} points, undisturbed: ${outcome}`);
      const broken: unknown[] = [];
      for (const call of calls.keys()) {
        for (const verdict of STROKES) {
          const struck = await runFlow(stage, character, { call, verdict });
          if (struck.violations.length === 0) continue;
          broken.push({
            call,
            label: calls[call],
            verdict,
            violations: struck.violations,
            tail: struck.tail.slice(-20),
          });
        }
      }
      expect(broken).toEqual([]);
    },
    FLOW_TIMEOUT_MS,
  );
});
