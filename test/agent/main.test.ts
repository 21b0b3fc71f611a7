import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { OptionsError, readOptions } from "../../agent/read-options.ts";
import { findMarkedProcesses } from "../../agent/runtime/marked-processes.ts";
import { HttpControlPlane } from "./http-control-plane.ts";
import { lease, newId, runAgent } from "./program.ts";
import { eventually } from "./workloads.ts";

describe("the agent's program", () => {
  it("works over HTTP with processes, survives kill -9, and ends what it is told to", async () => {
    const directory = await mkdtemp(join(tmpdir(), "volley-main-"));
    const api = new HttpControlPlane();
    const site = ["--country", "US", "--region", "west", "--latitude", "40", "--longitude=-120.5"];
    const join_ = ["--token", "enrol-me-once-please", "--price-per-gpu-hour", "0.05", ...site];
    const always = ["--api", await api.listen(), "--data-dir", directory, "--runtime", "process", "--slots", "2"];
    const agents: ChildProcess[] = [];
    const { leaseId } = lease(api);
    onTestFinished(async () => {
      api.plane.change(() => api.plane.leases.clear());
      await eventually(
        "nothing is left",
        async () => (await findMarkedProcesses("VOLLEY_LEASE_ID", leaseId)).length === 0,
      );
      agents.map((agent) => agent.kill("SIGKILL"));
      await api.close();
      await rm(directory, { recursive: true, maxRetries: 5 });
    });

    const first = runAgent([...always, ...join_]);
    agents.push(first);
    const state = () => api.plane.lastObservation(leaseId)?.state;
    await eventually("the lease is ready", () => state() === "ready");
    await eventually("its log has arrived", () => api.plane.text(leaseId) === "the workload is up\n");
    expect(first.errors()).toContain("trying out only");

    first.kill("SIGKILL");
    await once(first, "exit");
    const before = await findMarkedProcesses("VOLLEY_LEASE_ID", leaseId);
    const second = runAgent(always);
    agents.push(second);
    const executionId = newId("execution");
    const command = ["sh", "-c", 'echo "$GREETING $snake_case $VOLLEY_RANK/$VOLLEY_WORLD_SIZE"; exit 6'];
    api.plane.change(() =>
      api.plane.executions.set(executionId, { executionId, leaseId, command, stdin: null, env: {}, cancelled: false }),
    );
    await eventually("the command has run", () => api.plane.exits.length > 0);
    expect(api.plane.exits).toEqual([{ leaseId, executionId, code: 6 }]);
    expect(api.plane.text(executionId)).toBe("hello kept 0/1\n");
    expect(await findMarkedProcesses("VOLLEY_LEASE_ID", leaseId)).toEqual(before);

    second.kill("SIGTERM");
    const [exitCode] = await once(second, "exit");
    expect(exitCode).toBe(0);
    expect(await findMarkedProcesses("VOLLEY_LEASE_ID", leaseId)).toEqual(before);

    const third = runAgent([...always, "--stop-workloads"]);
    agents.push(third);
    await eventually("the third is up", () => third.errors().includes("The agent runs"));
    third.kill("SIGINT");
    await once(third, "exit");
    expect(await findMarkedProcesses("VOLLEY_LEASE_ID", leaseId)).toEqual([]);

    expect(api.refusals).toEqual([]);
    expect(api.plane.violations).toEqual([]);
    expect(api.plane.enrolments).toHaveLength(1);
    expect(api.plane.enrolments[0]).toMatchObject({ isolation: "process", longitude: -120.5, inventory: { gpus: 2 } });
    expect([...api.counters.keys()].sort()).toEqual(["assignments", "heartbeat", "report"]);
  });

  it.skipIf(!existsSync("/dev/full"))("works on when its own log cannot be written", async () => {
    const directory = await mkdtemp(join(tmpdir(), "volley-main-"));
    const api = new HttpControlPlane();
    const full = await open("/dev/full", "w");
    const site = ["--country", "US", "--region", "west", "--latitude", "40", "--longitude=-120.5"];
    const join_ = ["--token", "enrol-me-once-please", "--price-per-gpu-hour", "0.05", ...site];
    const always = ["--api", await api.listen(), "--data-dir", directory, "--runtime", "process", "--stop-workloads"];
    const agent = runAgent([...always, ...join_], full.fd);
    const ended = once(agent, "exit");
    onTestFinished(async () => {
      agent.kill("SIGKILL");
      await ended;
      await api.close();
      await full.close();
      await rm(directory, { recursive: true, maxRetries: 5 });
    });
    const { leaseId } = lease(api);
    const state = () => api.plane.lastObservation(leaseId)?.state ?? "starting";
    await eventually(
      "the lease is ready, or nothing to wait for",
      () => state() !== "starting" || agent.exitCode !== null,
    );
    expect(agent.exitCode).toBeNull();
    expect(api.plane.lastObservation(leaseId)).toEqual({ leaseId, state: "ready" });
    agent.kill("SIGTERM");
    expect((await ended)[0]).toBe(0);
  });

  it("explains a wrong command line, and how it is used", async () => {
    const agent = runAgent(["--api", "http://127.0.0.1:1"]);
    const [exitCode] = await once(agent, "exit");
    expect(exitCode).toBe(2);
    expect(agent.errors()).toContain("--data-dir needs a directory");
    expect(agent.errors()).toContain("--price-per-gpu-hour");
  });
});

describe("the command line", () => {
  const good = ["--api", "http://127.0.0.1:1", "--data-dir", "d"];

  it.each([
    [[], "--api"],
    [["--api", "ftp://x", "--data-dir", "d"], "--api"],
    [[...good, "--slots", "0"], "--slots"],
    [[...good, "--slots", "1.5"], "--slots"],
    [[...good, "--price-per-gpu-hour", "1.2345678"], "--price-per-gpu-hour"],
    [[...good, "--country", "Germany"], "--country"],
    [[...good, "--country", "DE"], "--region"],
    [[...good, "--country", "DE", "--region", "x", "--latitude", "91", "--longitude", "0"], "--latitude"],
    [[...good, "--runtime", "vm"], "--runtime"],
    [[...good, "--speed", "9"], "--speed"],
    [[...good, "more"], "more"],
  ])("refuses %j and names the culprit", (args, expected) => {
    expect(() => readOptions(args, {})).toThrow(OptionsError);
    expect(() => readOptions(args, {})).toThrow(expected);
  });

  it("takes the token and the API from the environment, where no list of processes shows them", () => {
    const environment = { VOLLEY_ENROLMENT_TOKEN: "secret", VOLLEY_API_URL: "https://api.example.com" };
    expect(readOptions(["--data-dir", "/d"], environment)).toMatchObject({
      apiUrl: "https://api.example.com",
      enrolmentToken: "secret",
      dataDirectory: "/d",
      cpuSlots: 1,
      runtime: "auto",
      site: null,
      stopWorkloads: false,
    });
  });
});
