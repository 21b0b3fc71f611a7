import { afterAll, describe, expect, it } from "vitest";
import { runCommand } from "../../agent/inventory/run-command.ts";
import { defaultImage, newEnsureImage } from "../../agent/runtime/base-image.ts";
import { containerName, containerOptions, labels, networkName } from "../../agent/runtime/container-options.ts";
import { ContainerRuntime } from "../../agent/runtime/container-runtime.ts";
import { newFirewall } from "../../agent/runtime/detect.ts";
import { listNetworks } from "../../agent/runtime/engine-contents.ts";
import { describeRuntime } from "./runtime-contract.ts";
import { newTestEngine } from "./test-engine.ts";
import { eventually, execRequest, execute, gang, shell, uniqueId, workload } from "./workloads.ts";

const engine = await newTestEngine();

afterAll(() => engine?.close());

describe.skipIf(engine === null)("the container runtime", () => {
  if (engine === null) {
    return;
  }
  const { connection } = engine;
  const { docker } = connection;
  const ensureImage = newEnsureImage(connection, () => undefined);
  const nodeId = uniqueId("nd");
  const firewall = newFirewall(connection, runCommand);
  const newRuntime = (node = nodeId) =>
    new ContainerRuntime({ engine: connection, nodeId: node, ensureImage, firewall });

  const withRunning = async (specs: ReturnType<typeof gang>, use: (runtime: ContainerRuntime) => Promise<void>) => {
    const runtime = newRuntime();
    try {
      await Promise.all(specs.map((spec) => runtime.start(spec)));
      await use(runtime);
    } finally {
      await Promise.all(specs.map((spec) => runtime.stop(spec.leaseId, { graceMs: 0 })));
    }
  };

  const only = <Value>(values: readonly Value[]): Value => {
    const [value] = values;
    if (value === undefined) {
      throw new Error("there is no value");
    }
    return value;
  };

  describeRuntime(newRuntime);

  it("puts limits on CPU, memory and processes into force", async () => {
    const spec = workload({ cpus: 0.25, memoryMib: 96, pidsLimit: 40 });
    await withRunning([spec], async (runtime) => {
      const read = async (newer: string, older: string) => {
        const { stdout } = await shell(
          runtime,
          spec.leaseId,
          `cat /sys/fs/cgroup/${newer} 2>/dev/null || cat ${older}`,
        );
        return stdout.trim();
      };
      const versionOne = "/sys/fs/cgroup";
      expect(await read("memory.max", `${versionOne}/memory/memory.limit_in_bytes`)).toBe(String(96 * 1024 ** 2));
      expect(await read("pids.max", `${versionOne}/pids/pids.max`)).toBe("40");
      const quota = await read("cpu.max", `${versionOne}/cpu/cpu.cfs_quota_us ${versionOne}/cpu/cpu.cfs_period_us`);
      const [allowed, period] = quota.split(/\s+/).map(Number);
      expect(Number(allowed) / Number(period)).toBeCloseTo(0.25);
    });
  });

  it("ends a workload that takes more memory than it has", async () => {
    const spec = workload({
      memoryMib: 64,
      startupScript: "exec node -e 'const a=[];for(;;)a.push(Buffer.alloc(1e6,1))'",
    });
    await withRunning([spec], async (runtime) => {
      await eventually("the workload is killed", async () => only(await runtime.list()).state === "exited");
      expect(only(await runtime.list()).exitCode).toBe(137);
    });
  });

  it("refuses more processes than allowed", async () => {
    const spec = workload({ pidsLimit: 16 });
    await withRunning([spec], async (runtime) => {
      const { stderr } = await shell(runtime, spec.leaseId, "for i in $(seq 40); do sleep 30 & done");
      expect(stderr).toMatch(/fork|resource/i);
    });
  });

  it("gives no capabilities, no new privileges, no host mounts and no host network", async () => {
    const spec = workload();
    await withRunning([spec], async (runtime) => {
      const { stdout } = await shell(runtime, spec.leaseId, "cat /proc/self/status");
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
        expect(stdout).toMatch(new RegExp(`${set}:\\s+0+\\n`));
      }
      expect(stdout).toMatch(/NoNewPrivs:\s+1\n/);
      const info = await docker.getContainer(containerName(spec.leaseId)).inspect();
      expect(info.HostConfig.Privileged).toBe(false);
      expect(info.Mounts).toEqual([]);
      expect(Object.keys(info.NetworkSettings.Networks)).toEqual([networkName(spec.clusterId)]);
      expect((await shell(runtime, spec.leaseId, "mount -t tmpfs none /tmp")).exitCode).not.toBe(0);
    });
  });

  it("lets the ranks of a cluster reach each other by host name", async () => {
    const specs = gang(2);
    await withRunning(specs, async (runtime) => {
      const [first, second] = specs.map((spec) => spec.leaseId);
      const server = "require('net').createServer((s)=>s.end('hello from rank 0')).listen(29500,()=>console.log('up'))";
      const client =
        "const c=require('net').connect(process.env.MASTER_PORT,process.env.MASTER_ADDR);c.on('data',(d)=>console.log(String(d)))";
      const abort = new AbortController();
      const serving = (async () => {
        for await (const _ of runtime.exec(
          first ?? "",
          execRequest(["node", "-e", server], { signal: abort.signal }),
        )) {
          const answer = await execute(runtime, second ?? "", execRequest(["node", "-e", client]));
          abort.abort();
          return answer;
        }
        return null;
      })();
      expect((await serving)?.stdout).toBe("hello from rank 0\n");
      expect((await shell(runtime, second ?? "", "hostname")).stdout).toBe("rank-1\n");
    });
  });

  it("keeps clusters apart, by name and by address, also after a third one has come and gone", async () => {
    const [ours, theirs] = [gang(1, { hostname: "rank-0" }), gang(1, { hostname: "other-0" })];
    await withRunning([...ours, ...theirs], async (runtime) => {
      await withRunning(gang(1), async () => undefined);
      const them = only(theirs);
      const info = await docker.getContainer(containerName(them.leaseId)).inspect();
      const address = info.NetworkSettings.Networks[networkName(them.clusterId)]?.IPAddress;
      expect(address).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
      const server = execRequest([
        "node",
        "-e",
        "require('net').createServer((s)=>s.end('secret')).listen(7000,()=>console.log('up'))",
      ]);
      const abort = new AbortController();
      for await (const _ of runtime.exec(them.leaseId, { ...server, signal: abort.signal })) {
        const attempt = (host: string) =>
          `const c=require('net').connect({port:7000,host:'${host}',timeout:1500});c.on('data',d=>console.log(String(d)));c.on('timeout',()=>process.exit(3));c.on('error',()=>process.exit(4))`;
        const byAddress = await execute(
          runtime,
          only(ours).leaseId,
          execRequest(["node", "-e", attempt(String(address))]),
        );
        const byName = await execute(runtime, only(ours).leaseId, execRequest(["node", "-e", attempt("other-0")]));
        const toItself = await execute(runtime, them.leaseId, execRequest(["node", "-e", attempt(String(address))]));
        for (const answer of [byAddress, byName]) {
          expect(answer).toMatchObject({ stdout: "", exitCode: expect.toSatisfy((code) => code === 3 || code === 4) });
        }
        expect(toItself.stdout).toBe("secret\n");
        break;
      }
      abort.abort();
    });
  });

  it("resolves ranks on other machines to the address that it was given", async () => {
    const peers = [{ rank: 1, hostname: "rank-1", address: "192.0.2.7" }];
    const spec = workload({ worldSize: 2, peers });
    await withRunning([spec], async (runtime) => {
      const lookup = "require('dns').lookup('rank-1',(e,a)=>console.log(e??a))";
      expect((await execute(runtime, spec.leaseId, execRequest(["node", "-e", lookup]))).stdout).toBe("192.0.2.7\n");
    });
  });

  it("reaps processes whose parents have gone", async () => {
    const spec = workload();
    await withRunning([spec], async (runtime) => {
      await shell(runtime, spec.leaseId, "(sleep 0.01 & sleep 0.01 &) ; sleep 0.3");
      await eventually("no zombie is left", async () => {
        const { stdout } = await shell(runtime, spec.leaseId, "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ' Z '");
        return stdout.trim() === "0";
      });
    });
  });

  it("removes the cluster's network with its last rank, and not before", async () => {
    const specs = gang(2);
    const exists = async () => {
      const having = { [labels.cluster]: only(specs).clusterId };
      return (await listNetworks(connection, having)).length > 0;
    };
    await withRunning(specs, async (runtime) => {
      await runtime.stop(only(specs).leaseId, { graceMs: 0 });
      expect(await exists()).toBe(true);
    });
    expect(await exists()).toBe(false);
  });

  it("sees nothing of another node on the same engine", async () => {
    const spec = workload();
    await withRunning([spec], async () => {
      expect(await newRuntime(uniqueId("nd")).list()).toEqual([]);
    });
  });

  it("starts a container that a crash left created, and sweeps a network that it left alone", async () => {
    const spec = workload();
    const runtime = newRuntime();
    await docker.createNetwork({
      Name: networkName(spec.clusterId),
      Labels: { [labels.node]: nodeId, [labels.cluster]: spec.clusterId },
    });
    const image = await ensureImage(null);
    await docker.createContainer(containerOptions(spec, { nodeId, image, flavor: connection.flavor }));
    expect(only(await runtime.list())).toMatchObject({ leaseId: spec.leaseId, state: "starting" });
    await runtime.start(spec);
    expect(only(await runtime.list())).toMatchObject({ leaseId: spec.leaseId, state: "running" });
    await runtime.stop(spec.leaseId, { graceMs: 0 });

    const lost = uniqueId("cl");
    await docker.createNetwork({ Name: networkName(lost), Labels: { [labels.node]: nodeId, [labels.cluster]: lost } });
    await runtime.sweep();
    expect(await listNetworks(connection, { [labels.node]: nodeId })).toEqual([]);
  });

  it("takes no container for a workload that only bears its labels, as one made from its image does", async () => {
    const spec = workload();
    await withRunning([spec], async (runtime) => {
      const options = containerOptions(spec, { nodeId, image: await ensureImage(null), flavor: connection.flavor });
      const copy = { name: uniqueId("copy"), Image: options.Image, Labels: options.Labels, Cmd: ["true"] };
      const stranger = await docker.createContainer(copy);
      try {
        expect(only(await runtime.list())).toMatchObject({ leaseId: spec.leaseId, state: "running" });
        await runtime.stop(spec.leaseId, { graceMs: 0 });
        expect(await runtime.list()).toEqual([]);
        await expect(stranger.inspect()).resolves.toMatchObject({ Id: stranger.id });
      } finally {
        await stranger.remove({ force: true });
        await runtime.sweep();
      }
    });
  });

  it("says which image cannot be fetched, and leaves nothing behind", async () => {
    const spec = workload({ image: "localhost:9/nobody/has-this:1" });
    await expect(newRuntime().start(spec)).rejects.toMatchObject({
      code: "image_unavailable",
      message: expect.stringContaining("localhost:9/nobody/has-this:1"),
    });
    expect(await newRuntime().list()).toEqual([]);
  });

  it("refuses an image name that is none", async () => {
    await expect(newRuntime().start(workload({ image: "a b; rm -rf /" }))).rejects.toMatchObject({
      code: "image_unavailable",
    });
  });

  it("offers sh, node and common tools in the default image", async () => {
    const spec = workload();
    await withRunning([spec], async (runtime) => {
      const script = "node -p 'process.version' && ls / | grep -q tmp && seq 3 | sed 's/2/two/' | tr '\\n' ' '";
      const result = await shell(runtime, spec.leaseId, script);
      expect(result).toMatchObject({ stdout: expect.stringMatching(/^v\d+\..*\n1 two 3 $/), exitCode: 0 });
      // A GPU's driver brings programs along that are linked with all of the C library.
      const library =
        "find /lib/ /usr/lib/ -name librt.so.1 | grep -q . && find /lib/ /usr/lib/ -name libdl.so.2 | grep -q .";
      expect(await shell(runtime, spec.leaseId, library)).toMatchObject({ exitCode: 0 });
      const { Config } = await docker.getContainer(containerName(spec.leaseId)).inspect();
      expect(Config.Image === defaultImage || Config.Image.startsWith("localhost/volley-base:")).toBe(true);
    });
  });
});
