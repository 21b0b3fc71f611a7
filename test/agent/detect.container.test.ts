import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand } from "../../agent/inventory/run-command.ts";
import { newEnsureImage } from "../../agent/runtime/base-image.ts";
import { labels } from "../../agent/runtime/container-options.ts";
import { ContainerRuntime } from "../../agent/runtime/container-runtime.ts";
import { detectRuntime } from "../../agent/runtime/detect.ts";
import { engineAddresses } from "../../agent/runtime/engine-connection.ts";
import { listContainers } from "../../agent/runtime/engine-contents.ts";
import { findMarkedProcesses } from "../../agent/runtime/marked-processes.ts";
import { startPodmanService } from "../../agent/runtime/podman-service.ts";
import { newTestEngine } from "./test-engine.ts";
import { eventually, shell, uniqueId, workload } from "./workloads.ts";

const engine = await newTestEngine();
let dataDirectory = "";

beforeAll(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "volley-detect-"));
});

afterAll(async () => {
  await engine?.close();
  await rm(dataDirectory, { recursive: true });
});

const nothing = { DOCKER_HOST: "unix:///nowhere/engine.sock" };
const detect = (changes: Partial<Parameters<typeof detectRuntime>[0]>) =>
  detectRuntime({
    agentName: uniqueId("agent"),
    dataDirectory,
    environment: process.env,
    runCommand,
    want: "auto",
    log: () => undefined,
    ...changes,
  });

describe("choosing a runtime", () => {
  it("falls back to processes without an engine, and warns", async () => {
    const found = await detect({ environment: nothing });
    expect(found.kind).toBe("process");
    expect(found.warnings.join(" ")).toContain("trying out only");
  });

  it("refuses to start without an engine when containers were promised", async () => {
    await expect(detect({ environment: nothing, want: "container" })).rejects.toMatchObject({
      code: "runtime_unavailable",
    });
  });

  it("uses processes when told to, whatever is installed", async () => {
    expect((await detect({ want: "process" })).kind).toBe("process");
  });

  it("knows where engines listen, and obeys DOCKER_HOST", () => {
    expect(engineAddresses(nothing)).toEqual(["unix:///nowhere/engine.sock"]);
    expect(engineAddresses({ XDG_RUNTIME_DIR: "/run/user/7" })).toContain("unix:///run/user/7/podman/podman.sock");
  });

  it.skipIf(engine === null)("takes containers where a trial one works, and leaves nothing of the trial", async () => {
    const agentName = uniqueId("agent");
    const found = await detect({ agentName });
    expect([found.kind, found.warnings]).toEqual(["container", []]);
    const runtime = found.open(uniqueId("nd"));
    const spec = workload();
    await runtime.start(spec);
    expect((await shell(runtime, spec.leaseId, "echo works")).stdout).toBe("works\n");
    await runtime.stop(spec.leaseId, { graceMs: 0 });
    const left =
      engine === null ? [] : await listContainers(engine.connection, { [labels.node]: `${agentName}-trial` });
    expect(left).toEqual([]);
    await found.close();
  });

  it.skipIf(engine === null)("leaves no process when it is closed with no container left", async () => {
    const { DOCKER_HOST: _, ...environment } = process.env;
    const folder = await mkdtemp(join(dataDirectory, "own-"));
    const service = await startPodmanService({ directory: folder, environment, runCommand });
    if (service === null) {
      console.warn("This test is about Podman, which is not installed.");
      return;
    }
    const ensureImage = newEnsureImage(service.engine, () => undefined);
    const runtime = new ContainerRuntime({
      engine: service.engine,
      nodeId: uniqueId("nd"),
      ensureImage,
      firewall: null,
    });
    const spec = workload();
    await runtime.start(spec);
    await shell(runtime, spec.leaseId, "true");
    await runtime.stop(spec.leaseId, { graceMs: 0 });
    await service.stop();
    const settings = join(folder, "containers.conf");
    await eventually(
      "no process is left",
      async () => (await findMarkedProcesses("CONTAINERS_CONF", settings)).length === 0,
    );
  });

  it.skipIf(engine === null)("takes over the API process that a killed agent has left, and ends it", async () => {
    const { DOCKER_HOST: _, ...environment } = process.env;
    const folder = await mkdtemp(join(dataDirectory, "left-"));
    const start = () => startPodmanService({ directory: folder, environment, runCommand });
    const left = await start();
    const taken = await start();
    if (left === null || taken === null) {
      console.warn("This test is about Podman, which is not installed.");
      return;
    }
    await taken.stop();
    await eventually("the API process is gone", async () => {
      return (await findMarkedProcesses("CONTAINERS_CONF", join(folder, "containers.conf"))).length === 0;
    });
    await left.stop();
  });
});
