import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { runCommand } from "../../agent/inventory/run-command.ts";
import { newEnsureImage } from "../../agent/runtime/base-image.ts";
import { ContainerRuntime } from "../../agent/runtime/container-runtime.ts";
import { findMarkedProcesses } from "../../agent/runtime/marked-processes.ts";
import { startPodmanService } from "../../agent/runtime/podman-service.ts";
import { eventually, execRequest, shell, uniqueId, workload } from "./workloads.ts";

const hasPodman = (await runCommand("podman", ["--version"], { timeoutMs: 20_000 }))?.exitCode === 0;
if (!hasPodman) {
  console.warn("Tests of Podman's API process are left out: Podman is not installed.");
}

/** Podman's API, served for this test alone. */
async function ownService() {
  const { DOCKER_HOST: _, ...environment } = process.env;
  const directory = await mkdtemp(join(tmpdir(), "volley-restart-"));
  const start = async () => {
    const service = await startPodmanService({ directory, environment, runCommand });
    if (service === null) {
      throw new Error("Podman does not answer");
    }
    onTestFinished(() => service.stop());
    return service;
  };
  onTestFinished(() => rm(directory, { recursive: true, maxRetries: 5 }));
  const pids = async () => {
    const marked = await findMarkedProcesses("CONTAINERS_CONF", join(directory, "containers.conf"));
    const lines = await Promise.all(marked.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
    return marked.filter((_pid, index) => lines[index]?.includes("podman\0system\0service"));
  };
  return { start, pids };
}

it.skipIf(!hasPodman)("a command whose engine was killed is ended before it is called so", async () => {
  const { start, pids } = await ownService();
  const { engine } = await start();
  const ensureImage = newEnsureImage(engine, () => undefined);
  const runtime = new ContainerRuntime({ engine, nodeId: uniqueId("nd"), ensureImage, firewall: null });
  const spec = workload();
  await runtime.start(spec);
  onTestFinished(() => runtime.stop(spec.leaseId, { graceMs: 0 }));
  const run = async () => {
    for await (const event of runtime.exec(spec.leaseId, execRequest(["sh", "-c", "echo begun; sleep 4321"]))) {
      if ("data" in event) {
        for (const pid of await pids()) {
          process.kill(pid, "SIGKILL");
        }
      }
    }
  };
  await expect(run()).rejects.toMatchObject({ code: "exec_failed" });
  expect((await shell(runtime, spec.leaseId, "cat /proc/[0-9]*/cmdline")).stdout).not.toContain("sleep\x004321");
});

it.skipIf(!hasPodman)("an API process that another agent has left is replaced when it ends", async () => {
  const { start, pids } = await ownService();
  const left = await start();
  const [leftPid = 0] = await pids();
  const { engine } = await start();
  expect(await pids()).toEqual([leftPid]);
  // Its own agent would start another one.
  await left.stop();
  await eventually("another process serves", async () => (await pids()).length === 1);
  await eventually("it answers", () => engine.docker.version().then(Boolean, () => false));
  expect(await pids()).not.toContain(leftPid);
});
