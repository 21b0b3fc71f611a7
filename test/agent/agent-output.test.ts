import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { APIError, type Problem } from "@volley/sdk";
import { describe, expect, it } from "vitest";
import type { ExecEvent, ExecRequest } from "../../agent/runtime/workload-runtime.ts";
import { AgentHarness } from "./agent-harness.ts";
import { settle } from "./fake-clock.ts";

async function withLease(): Promise<AgentHarness> {
  const harness = await AgentHarness.create();
  await harness.start();
  harness.assign("ls_a");
  await harness.clock.advance(2_000);
  return harness;
}

const exitOf = (harness: AgentHarness, executionId: string) =>
  harness.api.exits.filter((exit) => exit.executionId === executionId);

/** A command that goes on until it is ended. */
async function* endless(request: ExecRequest): AsyncGenerator<ExecEvent> {
  yield { stream: "stdout", data: Buffer.from("begun\n") };
  await new Promise((_, reject) => {
    request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true });
  });
}

describe("a command", () => {
  it("runs once, with its output and exit code relayed", async () => {
    const harness = await withLease();
    harness.machine.onExec = async function* (request) {
      yield { stream: "stdout", data: Buffer.from(`in: ${Buffer.from(request.stdin ?? "").toString()} `) };
      yield { stream: "stderr", data: Buffer.from(`${request.env.KEY} ${request.command.join("+")}`) };
      yield { exitCode: 4 };
    };
    harness.ask("exe_1", "ls_a", { command: ["do", "it"], stdin: "words", env: { KEY: "value" } });
    await harness.clock.advance(20_000);
    expect(harness.api.text("exe_1", "stdout")).toBe("in: words ");
    expect(harness.api.text("exe_1", "stderr")).toBe("value do+it");
    expect(exitOf(harness, "exe_1")).toEqual([{ leaseId: "ls_a", executionId: "exe_1", code: 4 }]);
    expect(harness.machine.begunExecs).toEqual(["exe_1.ls_a"]);
  });

  it("runs once in each of its leases, whose output and exits are told apart", async () => {
    const harness = await withLease();
    harness.assign("ls_b", { slots: [1] });
    await harness.clock.advance(2_000);
    harness.machine.onExec = async function* (request) {
      yield { stream: "stdout", data: Buffer.from(`${request.execId};`) };
      yield { exitCode: request.execId.endsWith("ls_a") ? 1 : 2 };
    };
    harness.ask("exe_1", "ls_a");
    harness.ask("exe_1", "ls_b");
    await harness.clock.advance(3_000);
    expect(harness.api.text("exe_1").split(";").sort()).toEqual(["", "exe_1.ls_a", "exe_1.ls_b"]);
    expect(exitOf(harness, "exe_1")).toEqual([
      { leaseId: "ls_a", executionId: "exe_1", code: 1 },
      { leaseId: "ls_b", executionId: "exe_1", code: 2 },
    ]);
    expect(harness.api.violations).toEqual([]);
  });

  it("is relayed while it runs", async () => {
    const harness = await withLease();
    harness.machine.onExec = endless;
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(2_000);
    expect(harness.api.text("exe_1")).toBe("begun\n");
    expect(exitOf(harness, "exe_1")).toEqual([]);
  });

  it("waits for its lease to be ready", async () => {
    const harness = await AgentHarness.create();
    harness.machine.probeExitCode = 1;
    await harness.start();
    harness.assign("ls_a");
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(5_000);
    expect(harness.machine.begunExecs).toEqual([]);
    harness.machine.probeExitCode = 0;
    await harness.clock.advance(3_000);
    expect(exitOf(harness, "exe_1")).toMatchObject([{ code: 0 }]);
  });

  it("for a lease that is not here ends with a reason", async () => {
    const harness = await withLease();
    harness.ask("exe_1", "ls_nobody");
    await harness.clock.advance(2_000);
    expect(exitOf(harness, "exe_1")).toMatchObject([{ code: 126, reason: expect.stringContaining("not running") }]);
  });

  it("is ended when it is cancelled, and never begun when it was cancelled before", async () => {
    const harness = await withLease();
    harness.machine.onExec = endless;
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(2_000);
    harness.ask("exe_1", "ls_a", { cancelled: true });
    harness.ask("exe_2", "ls_a", { cancelled: true });
    await harness.clock.advance(2_000);
    expect(exitOf(harness, "exe_1")).toMatchObject([{ code: 137, reason: expect.stringContaining("cancelled") }]);
    expect(exitOf(harness, "exe_2")).toMatchObject([{ code: 137 }]);
    expect(harness.machine.begunExecs).toEqual(["exe_1.ls_a"]);
  });

  it("ends with its lease", async () => {
    const harness = await withLease();
    harness.machine.onExec = endless;
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(2_000);
    harness.want("ls_a", { desired: "stopped" });
    await harness.clock.advance(2_000);
    expect(exitOf(harness, "exe_1")).toMatchObject([{ code: 137 }]);
  });

  it("that an agent crashed over is ended and reported, and not run again", async () => {
    const harness = await withLease();
    harness.machine.onExec = endless;
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(2_000);
    await harness.crash();
    await harness.start();
    await harness.clock.advance(3_000);
    expect(harness.machine.killedExecs).toEqual(["exe_1.ls_a"]);
    expect(harness.machine.begunExecs).toEqual(["exe_1.ls_a"]);
    expect(exitOf(harness, "exe_1")).toMatchObject([{ code: 137, reason: expect.stringContaining("restarted") }]);
  });

  it("that an agent crashed over is ended although nobody asks for it any more, and forgotten", async () => {
    const harness = await withLease();
    harness.machine.onExec = endless;
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(2_000);
    await harness.crash();
    harness.api.change(() => harness.api.executions.clear());
    await harness.start();
    await harness.clock.advance(5_000);
    expect(harness.machine.killedExecs).toEqual(["exe_1.ls_a"]);
    const book = JSON.parse(await readFile(join(harness.directory, "leases.json"), "utf8"));
    expect(book.executions).toEqual({});
  });

  it("whose exit was delivered is not run again by a later agent", async () => {
    const harness = await withLease();
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(2_000);
    await harness.crash();
    await harness.start();
    await harness.clock.advance(3_000);
    expect(harness.machine.begunExecs).toEqual(["exe_1.ls_a"]);
    expect(exitOf(harness, "exe_1")).toHaveLength(1);
  });

  it("that writes faster than the control plane takes is held up, and loses nothing", async () => {
    const harness = await withLease();
    const total = 400;
    const written = { blocks: 0 };
    harness.machine.onExec = async function* () {
      for (let block = 0; block < total; block++) {
        written.blocks += 1;
        yield { stream: "stdout", data: Buffer.alloc(64 * 1024, "0123456789abcdef") };
      }
      yield { exitCode: 0 };
    };
    harness.api.holdsReports = true;
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(5_000);
    expect(written.blocks).toBeGreaterThan(10);
    expect(written.blocks).toBeLessThan(100);
    harness.api.holdsReports = false;
    for (let round = 0; round < 50 && exitOf(harness, "exe_1").length === 0; round++) {
      await harness.clock.advance(5_000);
    }
    expect(written.blocks).toBe(total);
    expect(harness.api.text("exe_1").length).toBe(total * 64 * 1024);
    expect(exitOf(harness, "exe_1")).toMatchObject([{ code: 0 }]);
    expect(harness.api.violations).toEqual([]);
  });

  it("may write bytes that are no text, and text that JSON would blow up", async () => {
    const harness = await withLease();
    const bytes = Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from("déjà vu")]);
    const control = Buffer.alloc(60_000, 0x01);
    harness.machine.onExec = async function* (request) {
      yield { stream: "stdout", data: request.execId.startsWith("exe_1") ? bytes : control };
      yield { exitCode: 0 };
    };
    harness.ask("exe_1", "ls_a");
    harness.ask("exe_2", "ls_a");
    await harness.clock.advance(2_000);
    expect(harness.api.text("exe_2")).toBe(control.toString());
    expect(harness.api.text("exe_1")).toBe(bytes.toString());
    expect(harness.api.violations).toEqual([]);
  });
});

describe("reports", () => {
  it("are repeated when their answer is lost, without a second effect", async () => {
    const harness = await withLease();
    harness.api.losesAnswers = 6;
    harness.ask("exe_1", "ls_a");
    harness.machine.workloads.get("ls_a")?.log.push("one\n", "two\n");
    await harness.clock.advance(60_000);
    expect(harness.api.text("exe_1")).toBe("exe_1\n");
    expect(harness.api.text("ls_a")).toBe("one\ntwo\n");
    expect(harness.api.violations).toEqual([]);
  });

  it("are sent again when something before the API refused them, and dropped when the API itself did", async () => {
    const harness = await withLease();
    harness.api.refusals = [new APIError(400, new Headers(), null)];
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(5_000);
    expect(harness.api.text("exe_1")).toBe("exe_1\n");
    const problem = { code: "invalid_field", detail: "It is malformed." } as unknown as Problem;
    harness.api.refusals = [new APIError(400, new Headers(), problem)];
    harness.ask("exe_2", "ls_a");
    await harness.clock.advance(5_000);
    expect(harness.api.text("exe_2")).toBe("");
    expect(harness.warnings.join(" ")).toContain("refused a report");
  });

  it("wait out a control plane that is away", async () => {
    const harness = await withLease();
    harness.api.down = true;
    harness.machine.workloads.get("ls_a")?.log.push("while it was away\n");
    await harness.clock.advance(120_000);
    harness.api.down = false;
    await harness.clock.advance(20_000);
    expect(harness.api.text("ls_a")).toBe("while it was away\n");
  });
});

describe("a log", () => {
  it("is relayed as it grows, and to its last words", async () => {
    const harness = await withLease();
    const log = harness.machine.workloads.get("ls_a")?.log;
    log?.push("first\n");
    await harness.clock.advance(1_000);
    expect(harness.api.text("ls_a")).toBe("first\n");
    log?.push("last\n");
    harness.want("ls_a", { desired: "stopped" });
    await harness.clock.advance(3_000);
    expect(harness.api.text("ls_a")).toBe("first\nlast\n");
  });

  it("goes on when the engine has closed it while the workload runs", async () => {
    const harness = await withLease();
    const log = harness.machine.workloads.get("ls_a")?.log;
    log?.push("before\n");
    await harness.clock.advance(1_000);
    harness.machine.cutsLogs = true;
    await harness.clock.advance(3_000);
    harness.machine.cutsLogs = false;
    log?.push("after\n");
    await harness.clock.advance(3_000);
    expect(harness.api.text("ls_a")).toBe("before\nafter\n");
    expect(harness.api.violations).toEqual([]);
  });

  it.each([0, 1, 2, 3, 4, 6, 9, 14, 20, 30])(
    "goes on without loss or repetition after a crash at turn %i",
    async (turns) => {
      const harness = await withLease();
      const lines = Array.from({ length: 250 }, (_, line) => `line ${line}\n`);
      harness.machine.workloads.get("ls_a")?.log.push(...lines);
      for (let turn = 0; turn < turns; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await harness.crash();
      await settle();
      await harness.start();
      await harness.clock.advance(5_000);
      expect(harness.api.text("ls_a")).toBe(lines.join(""));
      expect(harness.api.violations).toEqual([]);
    },
  );
});
