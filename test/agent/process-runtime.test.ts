import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findMarkedProcesses } from "../../agent/runtime/marked-processes.ts";
import { OutputJournal, readJournal } from "../../agent/runtime/output-journal.ts";
import { identifyProcess, isAlive } from "../../agent/runtime/process-identity.ts";
import { ProcessRuntime } from "../../agent/runtime/process-runtime.ts";
import { describeRuntime } from "./runtime-contract.ts";
import { eventually, gang, shell, workload } from "./workloads.ts";

let directory = "";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "volley-process-"));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const environment = { ...process.env, SUPPLIERS_SECRET: "do not tell" };
const newRuntime = () => new ProcessRuntime({ directory, environment });

describe("the process runtime", () => {
  describeRuntime(newRuntime);

  it("hides the host's environment from the workload", async () => {
    const spec = workload();
    await newRuntime().start(spec);
    const { stdout } = await shell(newRuntime(), spec.leaseId, "env");
    expect(stdout).not.toContain("do not tell");
    expect(stdout).toContain(`HOME=${directory}`);
    await newRuntime().stop(spec.leaseId, { graceMs: 0 });
    expect(existsSync(join(directory, spec.leaseId))).toBe(false);
  });

  it("sees and serves the others beside a folder that is none of its own, and one that was damaged", async () => {
    const [sound, damaged] = [workload(), workload()];
    await newRuntime().start(sound);
    await newRuntime().start(damaged);
    await mkdir(join(directory, "lost+found"));
    await writeFile(join(directory, damaged.leaseId, "spec.json"), "");
    try {
      const leases = (await newRuntime().list()).map(({ leaseId, state }) => [leaseId, state]);
      expect(leases).toEqual([[sound.leaseId, "running"]]);
      await newRuntime().sweep();
      expect(await findMarkedProcesses("VOLLEY_LEASE_ID", damaged.leaseId)).toEqual([]);
      await newRuntime().stop(sound.leaseId, { graceMs: 0 });
      expect(await readdir(directory)).toEqual(["lost+found"]);
    } finally {
      await rm(join(directory, "lost+found"), { recursive: true });
    }
  });

  it("is not swept away while it starts", async () => {
    const runtime = newRuntime();
    const specs = gang(3);
    let starting = true;
    const started = Promise.all(specs.map((spec) => runtime.start(spec))).finally(() => {
      starting = false;
    });
    started.catch(() => undefined);
    while (starting) {
      await runtime.sweep();
    }
    try {
      await started;
      expect((await runtime.list()).map(({ state }) => state)).toEqual(["running", "running", "running"]);
    } finally {
      await Promise.all(specs.map(({ leaseId }) => runtime.stop(leaseId, { graceMs: 0 })));
    }
  });

  it("gives the ranks of a cluster one master port, and clusters different ones", async () => {
    const specs = [...gang(2), ...gang(1)];
    for (const spec of specs) {
      await newRuntime().start(spec);
    }
    const ports = await Promise.all(
      specs.map(async (spec) => (await shell(newRuntime(), spec.leaseId, "echo $MASTER_ADDR:$MASTER_PORT")).stdout),
    );
    expect(ports[0]).toMatch(/^127\.0\.0\.1:\d+\n$/);
    expect(ports[1]).toBe(ports[0]);
    expect(ports[2]).not.toBe(ports[0]);
    await Promise.all(specs.map((spec) => newRuntime().stop(spec.leaseId, { graceMs: 0 })));
  });

  it("ends processes that left the group and the session", async () => {
    const spec = workload({ startupScript: "setsid sh -c 'trap \"\" TERM; sleep 4321' & setsid sleep 4321 & wait" });
    await newRuntime().start(spec);
    const marked = () => findMarkedProcesses("VOLLEY_LEASE_ID", spec.leaseId);
    await eventually("the processes are up", async () => (await marked()).length >= 4);
    await newRuntime().stop(spec.leaseId, { graceMs: 300 });
    expect(await marked()).toEqual([]);
  });

  it("never signals a process that has taken over the number of a supervisor", async () => {
    const spec = workload();
    const victim = await identifyProcess(process.ppid);
    await mkdir(join(directory, spec.leaseId), { recursive: true });
    const stale = { pid: process.ppid, startedAt: "another boot:1" };
    await writeFile(join(directory, spec.leaseId, "supervisor.json"), JSON.stringify(stale));
    await writeFile(join(directory, spec.leaseId, "spec.json"), JSON.stringify({ ...spec, command: ["true"] }));
    expect((await newRuntime().list()).find((seen) => seen.leaseId === spec.leaseId)?.state).toBe("exited");
    await newRuntime().stop(spec.leaseId, { graceMs: 0 });
    expect(victim !== null && (await isAlive(victim))).toBe(true);
  });

  it("starts what a crash left between the description and the supervisor", async () => {
    const spec = workload();
    await newRuntime().start(spec);
    await newRuntime().stop(spec.leaseId, { graceMs: 0 });
    await mkdir(join(directory, spec.leaseId, "work"), { recursive: true });
    const description = {
      ...spec,
      command: ["tail", "-f", "/dev/null"],
      env: { PATH: process.env.PATH, VOLLEY_LEASE_ID: spec.leaseId },
    };
    await writeFile(join(directory, spec.leaseId, "spec.json"), JSON.stringify(description));
    expect((await newRuntime().list()).find((seen) => seen.leaseId === spec.leaseId)?.state).toBe("starting");
    await newRuntime().start(spec);
    expect((await newRuntime().list()).find((seen) => seen.leaseId === spec.leaseId)?.state).toBe("running");
    await newRuntime().stop(spec.leaseId, { graceMs: 0 });
  });

  it("sweeps directories without a description, and nothing else", async () => {
    const spec = workload();
    await newRuntime().start(spec);
    await mkdir(join(directory, "ls_leftover", "work"), { recursive: true });
    await newRuntime().sweep();
    expect(await readdir(directory)).toEqual([spec.leaseId]);
    await newRuntime().stop(spec.leaseId, { graceMs: 0 });
  });
});

describe("the output journal", () => {
  it("keeps the newest output in files of limited size, and cursors go on over dropped ones", async () => {
    const folder = await mkdtemp(join(tmpdir(), "volley-journal-"));
    const journal = new OutputJournal(folder);
    const block = Buffer.alloc(1024 * 1024, "x");
    journal.append("stdout", Buffer.from("first"));
    const beginning = readJournal(folder, null);
    const first = await beginning.next();
    await beginning.return(undefined);
    for (let written = 0; written < 40; written++) {
      journal.append("stderr", block);
    }
    journal.append("stdout", Buffer.from("last"));
    journal.close();
    const rest: string[] = [];
    let readMib = 0;
    for await (const chunk of readJournal(folder, first.value?.cursor ?? null)) {
      rest.push(`${chunk.stream} ${chunk.data.length}`);
      readMib += chunk.data.length / 1024 ** 2;
    }
    expect(rest.at(-1)).toBe("stdout 4");
    expect(readMib).toBeGreaterThan(7);
    expect(readMib).toBeLessThan(17);
    expect((await readdir(folder)).length).toBe(2);
    await rm(folder, { recursive: true });
  });
});
