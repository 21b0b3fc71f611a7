import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionRequest, LeaseAssignment } from "@volley/sdk";
import { onTestFinished } from "vitest";
import { type RunningAgent, startAgent } from "../../agent/agent.ts";
import { FakeClock, settle } from "./fake-clock.ts";
import { FakeControlPlane } from "./fake-control-plane.ts";
import { FakeRuntime } from "./fake-runtime.ts";

/** One machine, one control plane, and agents that come and go. */
export class AgentHarness {
  readonly clock = new FakeClock();
  readonly api = new FakeControlPlane(this.clock);
  readonly machine = new FakeRuntime();
  readonly warnings: string[] = [];
  readonly directory: string;
  /** What nvidia-smi prints; null on a machine without it. */
  nvidiaSmi: string | null = null;
  cpuSlots = 4;
  #agent: RunningAgent | null = null;
  #crash: () => void = () => undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<AgentHarness> {
    const harness = new AgentHarness(await mkdtemp(join(tmpdir(), "volley-agent-")));
    onTestFinished(async () => {
      harness.api.holdsReports = false;
      await harness.stop();
      await rm(harness.directory, { recursive: true });
    });
    return harness;
  }

  async start(): Promise<RunningAgent> {
    const alive = { yes: true };
    this.#crash = () => {
      alive.yes = false;
    };
    this.#agent = await startAgent({
      apiUrl: "http://127.0.0.1:1",
      enrolmentToken: "enrol-me-once-please",
      dataDirectory: this.directory,
      cpuSlots: this.cpuSlots,
      pricePerGpuHour: "0.05",
      site: { country: "DE", region: "frankfurt", latitude: 50.1, longitude: 8.7 },
      advertiseAddress: "192.0.2.1",
      runtime: "auto",
      environment: {},
      log: { info: () => undefined, warn: (sentence) => this.warnings.push(sentence) },
      ports: {
        clock: mortal(this.clock, alive),
        random: () => 0.5,
        runCommand: async (program) =>
          program === "nvidia-smi" && this.nvidiaSmi !== null
            ? { exitCode: this.nvidiaSmi === "" ? 9 : 0, stdout: this.nvidiaSmi, stderr: "" }
            : null,
        controlPlane: mortal(this.api, alive),
        detectRuntime: async () => ({
          kind: "container",
          open: () => mortal(this.machine, alive),
          warnings: [],
          close: async () => undefined,
        }),
      },
    });
    await settle();
    return this.#agent;
  }

  /** The agent's process is gone between two instructions, with nothing said or tidied up. */
  async crash(): Promise<void> {
    this.#crash();
    this.#agent = null;
    await rm(join(this.directory, "agent.lock"), { force: true });
    await settle();
  }

  async stop(options = { stopWorkloads: false }): Promise<void> {
    const agent = this.#agent;
    this.#agent = null;
    if (agent !== null) {
      await this.clock.until(agent.stop(options));
    }
  }

  /** Wants a lease to run for an hour. */
  assign(leaseId: string, changes: Partial<LeaseAssignment> = {}): LeaseAssignment {
    const lease: LeaseAssignment = {
      leaseId,
      clusterId: "cl_one",
      desired: "running",
      endsAt: new Date(this.api.nowMs() + 3_600_000).toISOString(),
      rank: 0,
      worldSize: 1,
      slots: [0],
      hostname: "rank-0",
      peers: [],
      masterAddress: "rank-0",
      masterPort: 29_500,
      image: null,
      startupScript: null,
      env: {},
      cpuCores: 1,
      memoryMib: 256,
      pids: 64,
      ...changes,
    };
    this.api.change(() => this.api.leases.set(leaseId, lease));
    return lease;
  }

  want(leaseId: string, changes: Partial<LeaseAssignment>): void {
    const lease = this.api.leases.get(leaseId);
    if (lease === undefined) {
      throw new Error(`${leaseId} is not assigned`);
    }
    this.api.change(() => this.api.leases.set(leaseId, { ...lease, ...changes }));
  }

  ask(executionId: string, leaseId: string, changes: Partial<ExecutionRequest> = {}): void {
    const request = { executionId, leaseId, command: ["echo", executionId], stdin: null, env: {}, cancelled: false };
    this.api.change(() => this.api.executions.set(`${executionId}.${leaseId}`, { ...request, ...changes }));
  }

  running(): string[] {
    return [...this.machine.workloads.keys()].sort();
  }
}

/** The same object, whose methods never answer once its user has died. */
function mortal<Target extends object>(target: Target, alive: { yes: boolean }): Target {
  const forever = new Promise<never>(() => undefined);
  return new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name, object);
      if (typeof value !== "function") {
        return value;
      }
      return (...args: unknown[]) => {
        const result = alive.yes ? value.apply(object, args) : forever;
        if (result instanceof Promise) {
          return result.finally(() => (alive.yes ? undefined : forever));
        }
        return isIterable(result) ? untilDeath(result, alive, forever) : result;
      };
    },
  });
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

async function* untilDeath(source: AsyncIterable<unknown>, alive: { yes: boolean }, forever: Promise<never>) {
  for await (const value of source) {
    if (!alive.yes) {
      await forever;
    }
    yield value;
  }
}
