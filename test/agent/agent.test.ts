import { mkdir, readFile, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { WorkloadError } from "../../agent/runtime/workload-runtime.ts";
import { AgentHarness } from "./agent-harness.ts";

const hourMs = 3_600_000;

/** Lines of nvidia-smi for the GPUs that it still sees, which it numbers from 0. */
function nvidiaSmi(...names: readonly string[]): string {
  const line = (name: string, index: number) =>
    `${index}, GPU-${name}, NVIDIA H100 80GB HBM3, 81559, 580.1, 00000000:${name}:00.0, Disabled\n`;
  return names.map(line).join("");
}

/** A machine that has joined, and on which one lease is ready. */
async function agentWithReadyLease(): Promise<AgentHarness> {
  const harness = await AgentHarness.create();
  await harness.start();
  harness.assign("ls_a");
  await harness.clock.advance(3_000);
  return harness;
}

/** The same, whose agent was killed, and whose engine no longer answers. */
async function agentThatCannotLook(): Promise<AgentHarness> {
  const harness = await agentWithReadyLease();
  await harness.crash();
  harness.machine.broken = true;
  return harness;
}

describe("joining", () => {
  it("tells what the machine is, once, and keeps its key to itself", async () => {
    const harness = await AgentHarness.create();
    const agent = await harness.start();
    expect(agent.nodeId).toBe(harness.api.nodeId);
    expect(harness.api.enrolments).toEqual([
      expect.objectContaining({
        enrolmentToken: "enrol-me-once-please",
        publicKey: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
        pricePerGpuHour: "0.05",
        country: "DE",
        isolation: "container",
        inventory: expect.objectContaining({ gpu: "cpu", gpus: 4, os: process.platform }),
      }),
    ]);
    await harness.stop();
    await harness.start();
    expect(harness.api.enrolments).toHaveLength(1);
    expect((await stat(join(harness.directory, "node-key.pem"))).mode & 0o777).toBe(0o600);
  });

  it("refuses a second agent on the same directory", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    await expect(harness.start()).rejects.toThrow(/Another agent/);
  });

  it("is not kept out by the empty lock that a power cut may leave", async () => {
    const harness = await AgentHarness.create();
    await writeFile(join(harness.directory, "agent.lock"), "");
    await expect(harness.start()).resolves.toMatchObject({ nodeId: harness.api.nodeId });
  });
});

describe("a lease", () => {
  it("is started, verified from inside, and then called ready", async () => {
    const harness = await AgentHarness.create();
    harness.machine.probeExitCode = 1;
    await harness.start();
    harness.assign("ls_a", { rank: 1, worldSize: 2, slots: [2], env: { A: "b" } });
    await harness.clock.advance(3_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({ state: "starting" });
    expect(harness.machine.workloads.get("ls_a")?.spec).toMatchObject({ rank: 1, worldSize: 2, env: { A: "b" } });
    harness.machine.probeExitCode = 0;
    await harness.clock.advance(500);
    expect(harness.api.lastObservation("ls_a")).toEqual({ leaseId: "ls_a", state: "ready" });
    expect(harness.machine.starts).toEqual(["ls_a"]);
  });

  it("that never becomes ready has failed, with what the probe said, and is taken away", async () => {
    const harness = await AgentHarness.create();
    harness.machine.probeExitCode = 9;
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(70_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("code 9"),
    });
    expect(harness.running()).toEqual([]);
    expect(harness.machine.starts).toEqual(["ls_a"]);
  });

  it("that the runtime refuses has failed with its reason, and is not tried for ever", async () => {
    const harness = await AgentHarness.create();
    harness.machine.startFailures = [new WorkloadError("image_unavailable", "The image cannot be fetched.")];
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(20_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({
      state: "failed",
      reason: "The image cannot be fetched.",
    });
    expect(harness.machine.starts).toEqual(["ls_a"]);
  });

  it("survives an engine that fails for a moment", async () => {
    const harness = await AgentHarness.create();
    harness.machine.startFailures = [new Error("socket hang up"), new Error("socket hang up")];
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(5_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({ state: "ready" });
  });

  it("for a slot that the machine does not have has failed", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a", { slots: [4] });
    await harness.clock.advance(2_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("4 slots"),
    });
  });

  it("that is no longer wanted is stopped, observed as gone, and reported absent", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(2_000);
    harness.want("ls_a", { desired: "stopped" });
    await harness.clock.advance(2_000);
    expect(harness.running()).toEqual([]);
    expect(harness.api.lastObservation("ls_a")).toEqual({ leaseId: "ls_a", state: "absent" });
    await harness.clock.advance(10_000);
    expect(harness.api.heartbeats.at(-1)?.leases).toEqual([]);
    expect(harness.machine.stops).toEqual(["ls_a"]);
  });

  it("is stopped again and again until it is gone, and not called absent before", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(2_000);
    harness.machine.stopFailures = 20;
    harness.api.change(() => harness.api.leases.delete("ls_a"));
    await harness.clock.advance(15_000);
    expect(harness.api.lastObservation("ls_a")?.state).toBe("ready");
    await harness.clock.advance(15_000);
    expect(harness.running()).toEqual([]);
    expect(harness.api.lastObservation("ls_a")?.state).toBe("absent");
  });

  it("that is cancelled while its image is fetched is never started", async () => {
    const harness = await AgentHarness.create();
    const gate = Promise.withResolvers<void>();
    harness.machine.startGate = gate.promise;
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(60_000);
    harness.want("ls_a", { desired: "stopped" });
    await harness.clock.advance(2_000);
    gate.resolve();
    await harness.clock.advance(2_000);
    expect(harness.running()).toEqual([]);
    expect(harness.machine.created).toEqual([]);
    expect(harness.api.lastObservation("ls_a")?.state).toBe("absent");
  });

  it("is not taken for lost by a list that is older than its start", async () => {
    const harness = await AgentHarness.create();
    const start = Promise.withResolvers<void>();
    const list = Promise.withResolvers<void>();
    harness.machine.startGate = start.promise;
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(2_000);
    harness.machine.listGate = list.promise;
    await harness.clock.advance(2_000);
    start.resolve();
    await harness.clock.advance(2_000);
    list.resolve();
    await harness.clock.advance(2_000);
    expect(harness.api.lastObservation("ls_a")).toEqual({ leaseId: "ls_a", state: "ready" });
  });

  it("that is gone stays gone in heartbeats, although a list is older than its end", async () => {
    const harness = await AgentHarness.create();
    const stop = Promise.withResolvers<void>();
    const list = Promise.withResolvers<void>();
    harness.machine.stopGate = stop.promise;
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(3_000);
    harness.want("ls_a", { desired: "stopped" });
    await harness.clock.advance(500);
    harness.machine.listGate = list.promise;
    await harness.clock.advance(1_000);
    stop.resolve();
    await harness.clock.advance(550);
    const before = harness.api.heartbeats.length;
    list.resolve();
    await harness.clock.advance(500);
    expect(harness.api.heartbeats.slice(before)).toEqual([{ leases: [] }]);
  });

  it("whose main process ends is reported with its exit code and kept until it is released", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(2_000);
    Object.assign(harness.machine.workloads.get("ls_a") ?? {}, { state: "exited", exitCode: 3 });
    await harness.clock.advance(6_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({ state: "exited", exitCode: 3 });
    expect(harness.running()).toEqual(["ls_a"]);
    harness.api.change(() => harness.api.leases.delete("ls_a"));
    await harness.clock.advance(2_000);
    expect(harness.running()).toEqual([]);
  });

  it("that somebody took away by hand has failed and is not begun anew", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(2_000);
    harness.machine.workloads.delete("ls_a");
    await harness.clock.advance(3_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("disappeared"),
    });
    expect(harness.machine.starts).toEqual(["ls_a"]);
  });

  it("that nobody assigned is stopped", async () => {
    const harness = await AgentHarness.create();
    const spec = harness.assign("ls_a");
    await harness.start();
    await harness.clock.advance(2_000);
    const known = harness.machine.workloads.get("ls_a");
    harness.machine.workloads.set("ls_stranger", {
      ...known,
      spec: { ...known?.spec, leaseId: "ls_stranger" },
    } as never);
    await harness.clock.advance(2_000);
    expect(harness.running()).toEqual([spec.leaseId]);
  });
});

describe("something that answers in the API's place", () => {
  it("is not joined", async () => {
    const harness = await AgentHarness.create();
    harness.api.isReplaced = true;
    await expect(harness.start()).rejects.toThrow("not the API");
    harness.api.isReplaced = false;
    expect((await harness.start()).nodeId).toBe(harness.api.nodeId);
  });

  it("is asked again with pauses, and believed in nothing", async () => {
    const harness = await agentWithReadyLease();
    const before = harness.api.heartbeats.length;
    harness.api.isReplaced = true;
    harness.machine.workloads.get("ls_a")?.log.push("kept\n");
    await harness.clock.advance(60_000);
    expect(harness.api.heartbeats.length - before).toBeLessThan(30);
    expect(harness.running()).toEqual(["ls_a"]);
    harness.api.isReplaced = false;
    await harness.clock.advance(20_000);
    expect(harness.api.text("ls_a")).toBe("kept\n");
  });
});

describe("while the disk takes nothing", () => {
  /** Nothing can be written to the book of leases any more, as on a full disk. */
  const fillDisk = async (harness: AgentHarness) => {
    const path = join(harness.directory, "leases.json.new");
    await mkdir(path);
    return () => rmdir(path);
  };

  it("leases end, are taken back and are told of as ever", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a", { endsAt: new Date(harness.api.nowMs() + 10_000).toISOString() });
    harness.assign("ls_b", { slots: [1] });
    harness.assign("ls_c", { slots: [2] });
    await harness.clock.advance(3_000);
    await fillDisk(harness);
    harness.api.change(() => {
      harness.api.leases.delete("ls_b");
      harness.api.leases.delete("ls_c");
    });
    await harness.clock.advance(2_000);
    expect(harness.running()).toEqual(["ls_a"]);
    await harness.clock.advance(7_000);
    expect(harness.running()).toEqual([]);
    expect(harness.api.heartbeats.at(-1)?.leases).toEqual([]);
  });

  it("a start that fails is told of, and ends nothing but itself", async () => {
    const harness = await AgentHarness.create();
    const start = Promise.withResolvers<void>();
    harness.machine.startGate = start.promise;
    await harness.start();
    harness.assign("ls_a");
    await harness.clock.advance(2_000);
    await fillDisk(harness);
    start.reject(new WorkloadError("start_failed", "No space is left."));
    await harness.clock.advance(2_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({ state: "failed", reason: "No space is left." });
  });

  it("a lease is not begun that could not be written down, and is begun once it can", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    const makeRoom = await fillDisk(harness);
    harness.assign("ls_a");
    await harness.clock.advance(3_000);
    expect(harness.machine.starts).toEqual([]);
    await makeRoom();
    await harness.clock.advance(30_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({ state: "ready" });
  });

  it("a command is not begun that could not be written down, and is begun once it can", async () => {
    const harness = await agentWithReadyLease();
    const makeRoom = await fillDisk(harness);
    harness.ask("exe_1", "ls_a");
    await harness.clock.advance(3_000);
    expect(harness.machine.begunExecs).toEqual([]);
    await makeRoom();
    await harness.clock.advance(3_000);
    expect(harness.api.exits).toEqual([{ executionId: "exe_1", leaseId: "ls_a", code: 0 }]);
  });

  it("what has happened is kept, and written down when there is room again", async () => {
    const harness = await agentWithReadyLease();
    const makeRoom = await fillDisk(harness);
    harness.want("ls_a", { desired: "stopped" });
    await harness.clock.advance(3_000);
    await makeRoom();
    await harness.clock.advance(3_000);
    const book = JSON.parse(await readFile(join(harness.directory, "leases.json"), "utf8"));
    expect(book.leases.ls_a).toMatchObject({ desired: "stopped" });
  });
});

describe("the slots of a machine", () => {
  it("stay as many as it joined with, whatever a later command line says", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    await harness.stop();
    harness.cpuSlots = 1;
    await harness.start();
    harness.assign("ls_a", { slots: [3] });
    await harness.clock.advance(3_000);
    expect(harness.api.lastObservation("ls_a")).toEqual({ leaseId: "ls_a", state: "ready" });
  });

  it("are the same GPUs after a restart that finds one less", async () => {
    const harness = await AgentHarness.create();
    harness.nvidiaSmi = nvidiaSmi("1b", "43", "5c");
    await harness.start();
    harness.assign("ls_b", { slots: [1] });
    await harness.clock.advance(3_000);
    expect(harness.machine.workloads.get("ls_b")?.spec.gpus).toMatchObject([{ uuid: "GPU-43", index: 1 }]);
    await harness.stop();
    harness.nvidiaSmi = nvidiaSmi("43", "5c");
    await harness.start();
    harness.assign("ls_a", { slots: [0] });
    harness.assign("ls_c", { slots: [2] });
    await harness.clock.advance(3_000);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("GPU of slot 0"),
    });
    expect(harness.machine.workloads.get("ls_c")?.spec.gpus).toMatchObject([{ uuid: "GPU-5c", index: 1 }]);
  });

  it("are not leased without their GPUs when the driver has broken", async () => {
    const harness = await AgentHarness.create();
    harness.nvidiaSmi = nvidiaSmi("1b");
    await harness.start();
    await harness.stop();
    harness.nvidiaSmi = "";
    await harness.start();
    harness.assign("ls_a", { slots: [0] });
    await harness.clock.advance(3_000);
    expect(harness.machine.starts).toEqual([]);
    expect(harness.api.lastObservation("ls_a")).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("GPU of slot 0"),
    });
    expect(harness.warnings.join(" ")).toContain("GPU-1b");
  });
});

describe("the end of a lease", () => {
  it("is enforced while the control plane is silent, by the server's clock, within ten seconds", async () => {
    const harness = await AgentHarness.create();
    harness.api.serverOffsetMs = 300_000;
    await harness.start();
    harness.assign("ls_a", { endsAt: new Date(harness.api.nowMs() + 60_000).toISOString() });
    await harness.clock.advance(10_000);
    harness.api.down = true;
    await harness.clock.advance(49_000);
    expect(harness.running()).toEqual(["ls_a"]);
    await harness.clock.advance(3_000);
    expect(harness.running()).toEqual([]);
  });

  it("is enforced while a sweep waits for the engine", async () => {
    const harness = await AgentHarness.create();
    const sweep = Promise.withResolvers<void>();
    harness.machine.sweepGate = sweep.promise;
    await harness.start();
    harness.assign("ls_a", { endsAt: new Date(harness.api.nowMs() + 60_000).toISOString() });
    await harness.clock.advance(10_000);
    expect(harness.running()).toEqual(["ls_a"]);
    await harness.clock.advance(55_000);
    expect(harness.running()).toEqual([]);
    sweep.resolve();
  });

  it("is enforced by an agent that started while the control plane was silent", async () => {
    const harness = await AgentHarness.create();
    harness.api.serverOffsetMs = -300_000;
    await harness.start();
    harness.assign("ls_a", { endsAt: new Date(harness.api.nowMs() + 60_000).toISOString() });
    await harness.clock.advance(10_000);
    harness.api.down = true;
    await harness.crash();
    await harness.start();
    await harness.clock.advance(48_000);
    expect(harness.running()).toEqual(["ls_a"]);
    await harness.clock.advance(5_000);
    expect(harness.running()).toEqual([]);
  });

  it("moves when the lease is extended", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    const lease = harness.assign("ls_a", { endsAt: new Date(harness.api.nowMs() + 60_000).toISOString() });
    await harness.clock.advance(30_000);
    harness.want("ls_a", { endsAt: new Date(Date.parse(lease.endsAt) + 60_000).toISOString() });
    await harness.clock.advance(60_000);
    expect(harness.running()).toEqual(["ls_a"]);
    await harness.clock.advance(35_000);
    expect(harness.running()).toEqual([]);
  });

  it("is final: what has ended here is not begun again when it is extended too late", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a", { endsAt: new Date(harness.api.nowMs() + 10_000).toISOString() });
    await harness.clock.advance(15_000);
    harness.want("ls_a", { endsAt: new Date(harness.api.nowMs() + hourMs).toISOString() });
    await harness.clock.advance(15_000);
    expect(harness.running()).toEqual([]);
    expect(harness.api.lastObservation("ls_a")).toEqual({ leaseId: "ls_a", state: "absent" });
    expect(harness.machine.starts).toEqual(["ls_a"]);
  });
});

describe("a restart of the agent", () => {
  it("leaves workloads running and finds them again", async () => {
    const harness = await agentWithReadyLease();
    await harness.stop();
    expect(harness.running()).toEqual(["ls_a"]);
    expect(harness.api.heartbeats.at(-1)?.draining).toBe(true);
    await harness.start();
    await harness.clock.advance(3_000);
    expect(harness.machine.starts).toEqual(["ls_a"]);
    expect(harness.api.heartbeats.at(-1)).toEqual({ leases: [{ leaseId: "ls_a", state: "ready" }] });
  });

  it.each([0, 1, 2, 3, 5, 8, 13, 21, 34])(
    "after a crash %i turns into a start ends with one running workload",
    async (turns) => {
      const harness = await AgentHarness.create();
      await harness.start();
      harness.assign("ls_a");
      for (let turn = 0; turn < turns; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await harness.crash();
      await harness.start();
      await harness.clock.advance(5_000);
      expect(harness.running()).toEqual(["ls_a"]);
      expect(harness.api.lastObservation("ls_a")).toMatchObject({ state: "ready" });
    },
  );

  it("stops what the control plane took back meanwhile", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    harness.assign("ls_a");
    harness.assign("ls_b", { slots: [1] });
    await harness.clock.advance(3_000);
    await harness.crash();
    harness.api.change(() => harness.api.leases.delete("ls_a"));
    await harness.start();
    await harness.clock.advance(3_000);
    expect(harness.running()).toEqual(["ls_b"]);
  });

  it("stops what it has no record of, before the control plane has spoken", async () => {
    const harness = await agentWithReadyLease();
    await harness.crash();
    const known = harness.machine.workloads.get("ls_a");
    harness.machine.workloads.set("ls_lost", { ...known, spec: { ...known?.spec, leaseId: "ls_lost" } } as never);
    harness.api.down = true;
    await harness.start();
    await harness.clock.advance(3_000);
    expect(harness.running()).toEqual(["ls_a"]);
  });

  it("takes everything along when told to", async () => {
    const harness = await agentWithReadyLease();
    await harness.stop({ stopWorkloads: true });
    expect(harness.running()).toEqual([]);
    expect(harness.api.heartbeats.at(-1)).toEqual({ leases: [], draining: true });
    expect(harness.api.lastObservation("ls_a")?.state).toBe("absent");
  });
});

describe("heartbeats", () => {
  it("come at the pace that the control plane asks for, and go on after it was away", async () => {
    const harness = await AgentHarness.create();
    await harness.start();
    await harness.clock.advance(20_500);
    expect(harness.api.heartbeats.length).toBe(5);
    harness.api.down = true;
    await harness.clock.advance(60_000);
    harness.api.down = false;
    await harness.clock.advance(20_000);
    expect(harness.api.heartbeats.length).toBeGreaterThan(6);
  });

  it("say nothing as long as the machine cannot be looked at, since silence about a lease means absence", async () => {
    const harness = await agentThatCannotLook();
    const before = harness.api.heartbeats.length;
    await harness.start();
    await harness.clock.advance(20_000);
    expect(harness.api.heartbeats.length).toBe(before);
    harness.machine.broken = false;
    await harness.clock.advance(5_000);
    expect(harness.api.heartbeats.at(-1)?.leases).toEqual([{ leaseId: "ls_a", state: "ready" }]);
  });

  it("stop when the engine has not answered for long: what ran may have ended, and would be billed", async () => {
    const harness = await agentWithReadyLease();
    harness.machine.broken = true;
    await harness.clock.advance(60_000);
    expect(harness.api.heartbeats.at(-1)?.leases).toEqual([{ leaseId: "ls_a", state: "ready" }]);
    await harness.clock.advance(90_000);
    const before = harness.api.heartbeats.length;
    await harness.clock.advance(60_000);
    expect(harness.api.heartbeats.length).toBe(before);
    harness.machine.broken = false;
    await harness.clock.advance(5_000);
    expect(harness.api.heartbeats.length).toBeGreaterThan(before);
    expect(harness.api.heartbeats.at(-1)?.leases).toEqual([{ leaseId: "ls_a", state: "ready" }]);
  });

  it("leave no lease out in the last one of an agent that could not look at the machine", async () => {
    const harness = await agentThatCannotLook();
    const before = harness.api.heartbeats.length;
    await harness.start();
    await harness.clock.advance(3_000);
    await harness.stop();
    expect(harness.api.heartbeats.length).toBe(before);
  });
});
