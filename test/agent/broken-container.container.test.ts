import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { runCommand } from "../../agent/inventory/run-command.ts";
import { newEnsureImage } from "../../agent/runtime/base-image.ts";
import { containerName } from "../../agent/runtime/container-options.ts";
import { ContainerRuntime } from "../../agent/runtime/container-runtime.ts";
import { startPodmanService } from "../../agent/runtime/podman-service.ts";
import { podmanSettings, readPodmanSurroundings } from "../../agent/runtime/podman-settings.ts";
import { uniqueId, workload } from "./workloads.ts";

const hasPodman = (await runCommand("podman", ["--version"], { timeoutMs: 20_000 }))?.exitCode === 0;
if (!hasPodman) {
  console.warn("A test of a broken container is left out: Podman is not installed.");
}

it.skipIf(!hasPodman)(
  "a container whose storage is gone hides no other, and is removed when its lease ends",
  async () => {
    const { environment, loseStorage } = await ownStore();
    const nodeId = uniqueId("nd");
    const open = async () => {
      const service = await startPodmanService({ directory: environment.directory, environment, runCommand });
      if (service === null) {
        throw new Error("Podman does not answer");
      }
      const ensureImage = newEnsureImage(service.engine, () => undefined);
      return {
        service,
        runtime: new ContainerRuntime({ engine: service.engine, nodeId, ensureImage, firewall: null }),
      };
    };

    const [broken, sound] = [workload(), workload()];
    const before = await open();
    await before.runtime.start(broken);
    await before.service.engine.docker.getContainer(containerName(broken.leaseId)).stop({ t: 0 });
    await before.service.stop();
    await loseStorage();

    const after = await open();
    try {
      await expect(after.service.engine.docker.listNetworks()).rejects.toThrow("container not known");
      await after.runtime.start(sound);
      const leases = (await after.runtime.list()).map(({ leaseId, state }) => [leaseId, state]);
      expect(leases.sort()).toEqual(
        [
          [broken.leaseId, "exited"],
          [sound.leaseId, "running"],
        ].sort(),
      );
      await after.runtime.stop(sound.leaseId, { graceMs: 0 });
      await after.runtime.stop(broken.leaseId, { graceMs: 0 });
      expect(await after.runtime.list()).toEqual([]);
      expect(await after.service.engine.docker.listNetworks()).toHaveLength(1);
    } finally {
      await Promise.all([broken, sound].map(({ leaseId }) => after.runtime.stop(leaseId, { graceMs: 0 })));
      await after.service.stop();
    }
  },
);

/** A Podman that shares nothing with the machine's own, so that breaking it breaks nobody else's work. */
async function ownStore() {
  const directory = await mkdtemp(join(tmpdir(), "volley-broken-"));
  onTestFinished(() => rm(directory, { recursive: true, maxRetries: 5 }));
  const place = (name: string) => join(directory, name);
  await mkdir(place("networks"));
  // This driver mounts nothing, so the folder can be removed whatever became of the containers.
  await writeFile(
    place("storage.conf"),
    `[storage]\ndriver = "vfs"\ngraphroot = "${place("graph")}"\nrunroot = "${place("run")}"\n`,
  );
  const own = `[engine]\ntmp_dir = "${place("tmp")}"\nlock_type = "file"\n`;
  const settings = podmanSettings(await readPodmanSurroundings()).replace("[engine]\n", own);
  const hasNetwork = settings.includes("[network]\n");
  const networks = `network_config_dir = "${place("networks")}"\n`;
  await writeFile(
    place("containers.conf"),
    hasNetwork ? settings.replace("[network]\n", `[network]\n${networks}`) : `${settings}[network]\n${networks}`,
  );
  const { DOCKER_HOST: _, ...inherited } = process.env;
  return {
    environment: {
      ...inherited,
      directory,
      CONTAINERS_CONF: place("containers.conf"),
      CONTAINERS_STORAGE_CONF: place("storage.conf"),
    },
    /** What Podman leaves when it is killed after it has removed a container's storage and before it forgets it. */
    loseStorage: () => writeFile(join(place("graph"), "vfs-containers", "containers.json"), "[]"),
  };
}
