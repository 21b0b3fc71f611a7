/** Some of the calls of every flow, struck before and after; `npm run sweep` strikes them all. */
import { expect, it } from "vitest";
import { runSweep } from "./run-sweep.ts";

const SWEEP_TIMEOUT_MS = 900_000;
/** As many as take well under a minute on two cores. */
const EVERY = 12;

it(
  "whatever happens to a call of the server, the rental comes to its proper end",
  async () => {
    const { strokes, broken } = await runSweep(EVERY, () => undefined);
    expect(broken).toEqual([]);
    expect(strokes).toBeGreaterThan(50);
  },
  SWEEP_TIMEOUT_MS,
);
