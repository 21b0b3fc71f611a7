import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { labels } from "../../agent/runtime/container-options.ts";
import { listContainers } from "../../agent/runtime/engine-contents.ts";
import { HttpControlPlane } from "./http-control-plane.ts";
import { lease, newId, runAgent } from "./program.ts";
import { newTestEngine } from "./test-engine.ts";
import { eventually } from "./workloads.ts";

const engine = await newTestEngine();

afterAll(() => engine?.close());

describe.skipIf(engine === null)("the agent's program with containers", () => {
  it("runs a gang, survives kill -9, and ends it on time with the control plane gone", async () => {
    const directory = await mkdtemp(join(tmpdir(), "volley-main-"));
    const api = new HttpControlPlane();
    const site = ["--country", "DE", "--region", "here", "--latitude", "50", "--longitude", "8"];
    const join_ = ["--token", "enrol-me-once-please", "--price-per-gpu-hour", "0.05", ...site];
    const always = ["--api", await api.listen(), "--data-dir", directory, "--runtime", "container", "--slots", "2"];
    const agents: ChildProcess[] = [];
    const clusterId = newId("cluster");
    const containers = async () => {
      const found = engine === null ? [] : await listContainers(engine.connection, { [labels.cluster]: clusterId });
      return found.map(({ id }) => id).sort();
    };
    onTestFinished(async () => {
      agents.map((agent) => agent.kill("SIGKILL"));
      for (const id of await containers()) {
        await engine?.connection.docker.getContainer(id).remove({ force: true });
      }
      await api.close();
      await rm(directory, { recursive: true, maxRetries: 5 });
    });

    const ranks = [0, 1].map((rank) => ({ rank, hostname: `rank-${rank}`, address: null }));
    const gang = ranks.map(({ rank, hostname }) =>
      lease(api, { clusterId, rank, worldSize: 2, slots: [rank], hostname, peers: ranks, memoryMib: 192 }),
    );
    agents.push(runAgent([...always, ...join_]));
    await eventually("the gang is ready", () =>
      gang.every(({ leaseId }) => api.plane.lastObservation(leaseId)?.state === "ready"),
    );
    const before = await containers();
    expect(before).toHaveLength(2);
    expect(api.plane.enrolments[0]).toMatchObject({ isolation: "container" });

    agents[0]?.kill("SIGKILL");
    const second = runAgent(always);
    agents.push(second);
    const [first, last] = gang.map(({ leaseId }) => leaseId);
    const [serve, ask] = [newId("execution"), newId("execution")];
    const server =
      "require('net').createServer(s=>s.end('from '+process.env.VOLLEY_RANK)).listen(process.env.MASTER_PORT)";
    const client = `const attempt=()=>require('net').connect(process.env.MASTER_PORT,process.env.MASTER_ADDR)
      .on('data',d=>{console.log(String(d));process.exit()}).on('error',()=>setTimeout(attempt,100));attempt()`;
    api.plane.change(() => {
      for (const [executionId, leaseId, script] of [
        [serve, first ?? "", server],
        [ask, last ?? "", client],
      ] as const) {
        const command = ["node", "-e", script];
        api.plane.executions.set(executionId, {
          executionId,
          leaseId,
          command,
          stdin: null,
          env: {},
          cancelled: false,
        });
      }
    });
    await eventually("the ranks have talked", () => api.plane.text(ask) === "from 0\n");
    expect(await containers()).toEqual(before);

    const endsAt = new Date(Date.now() + 3_000).toISOString();
    api.plane.change(() => gang.map((each) => api.plane.leases.set(each.leaseId, { ...each, endsAt })));
    const round = api.plane.heartbeats.length;
    await eventually("the agent has heard of it", () => api.plane.heartbeats.length > round);
    api.plane.down = true;
    await eventually("the containers are gone", async () => (await containers()).length === 0);

    second.kill("SIGTERM");
    expect((await once(second, "exit"))[0]).toBe(0);
    expect(api.refusals).toEqual([]);
    expect(api.plane.violations).toEqual([]);
  });
});
