import { expect, test } from "vitest";
import { AgentHarness } from "./agent-harness.ts";
import { settle } from "./fake-clock.ts";

test("one renter's commands that never end don't keep another renter's from beginning", async () => {
  const harness = await AgentHarness.create();
  await harness.start();
  harness.assign("lse_greedy", { clusterId: "cl_one", slots: [0] });
  harness.assign("lse_other", { clusterId: "cl_two", slots: [1] });
  await harness.clock.advance(2_000);
  harness.machine.onExec = async function* (request) {
    if (request.command[0] === "echo") yield { exitCode: 0 };
    else await new Promise((resolve) => request.signal.addEventListener("abort", resolve, { once: true }));
  };
  for (let number = 0; number < 200; number++) {
    harness.ask(`exe_greedy${number}`, "lse_greedy", { command: ["sleep", "infinity"] });
  }
  await harness.clock.advance(2_000);
  harness.ask("exe_other", "lse_other");
  await harness.clock.advance(2_000);
  await settle();
  expect(harness.machine.begunExecs).toContain("exe_other.lse_other");
  expect(harness.machine.begunExecs.length).toBeLessThan(200);
});
