import { Volley } from "@volley/sdk";
import { AgentWork } from "./agent-work.ts";
import { signRequests } from "./control/sign-requests.ts";
import { enrol, type Site } from "./enrol.ts";
import { detectInventory, type Inventory, readHostFacts } from "./inventory/detect-inventory.ts";
import { type RunCommand, runCommand as realRunCommand } from "./inventory/run-command.ts";
import { findSlots, nameSlots } from "./inventory/slots.ts";
import type { AgentLog, Clock, ControlPlane } from "./ports.ts";
import { type DetectedRuntime, detectRuntime } from "./runtime/detect.ts";
import type { Environment } from "./runtime/engine-connection.ts";
import type { WorkloadRuntime } from "./runtime/workload-runtime.ts";
import { Counters } from "./state/counters.ts";
import { lockDataDirectory } from "./state/data-lock.ts";
import { loadMembership, loadNodeKey, type Membership, type NodeKey, saveMembership } from "./state/identity.ts";
import { systemClock } from "./system-clock.ts";

export interface AgentOptions {
  readonly apiUrl: string;
  /** Needed once, when the machine joins; ignored afterwards. */
  readonly enrolmentToken: string | null;
  /** Holds the machine's key, its counters, and what it has begun. One agent per directory. */
  readonly dataDirectory: string;
  /** How many slots a machine without a GPU offers. */
  readonly cpuSlots: number;
  /** In USDC with up to six places, such as `"1.25"`. Needed when the machine joins. */
  readonly pricePerGpuHour: string | null;
  /** Needed when the machine joins. */
  readonly site: Site | null;
  readonly advertiseAddress: string | null;
  readonly runtime: "auto" | WorkloadRuntime["kind"];
  readonly environment: Environment;
  readonly log: AgentLog;
  /** Tests replace the world piece by piece. */
  readonly ports?: {
    readonly clock?: Clock;
    readonly random?: () => number;
    readonly runCommand?: RunCommand;
    readonly detectRuntime?: typeof detectRuntime;
    readonly controlPlane?: ControlPlane;
  };
}

export interface RunningAgent {
  readonly nodeId: string;
  readonly runtimeKind: WorkloadRuntime["kind"];
  /**
   * Stops asking for work. Workloads run on, and the next start finds them again, unless `stopWorkloads` is set: then
   * they are gone, and the control plane told, before this resolves.
   */
  stop(options: { readonly stopWorkloads: boolean }): Promise<void>;
}

/**
 * Joins the network if need be, and then keeps this machine as the control plane wants it until stopped.
 * @throws Error with a sentence for the supplier when something is missing or the machine cannot join.
 */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const unlock = await lockDataDirectory(options.dataDirectory);
  try {
    const member = await join(options);
    const work = newWork(options, member);
    work.begin();
    const { runtime } = member.membership;
    options.log.info("The agent runs.", { node: member.membership.nodeId, runtime, offers: member.inventory.model });
    return {
      nodeId: member.membership.nodeId,
      runtimeKind: member.detected.kind,
      stop: async ({ stopWorkloads }) => {
        await work.stop(stopWorkloads);
        await member.detected.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

interface Member {
  readonly membership: Membership;
  readonly key: NodeKey;
  readonly inventory: Inventory;
  readonly detected: DetectedRuntime;
}

async function join(options: AgentOptions): Promise<Member> {
  const { dataDirectory, environment, log, ports } = options;
  const key = loadNodeKey(dataDirectory);
  const runCommand = ports?.runCommand ?? realRunCommand;
  const host = await readHostFacts(dataDirectory);
  const inventory = await detectInventory({ runCommand, host, cpuSlots: options.cpuSlots });
  const known = withSlots(dataDirectory, inventory);
  const detected = await (ports?.detectRuntime ?? detectRuntime)({
    agentName: `agent-${Buffer.from(key.publicKey, "base64url").toString("hex").slice(0, 16)}`,
    dataDirectory,
    environment,
    runCommand,
    want: known?.runtime ?? wantedRuntime(options, inventory),
    log: (sentence) => log.info(sentence),
  });
  for (const warning of [...inventory.warnings, ...detected.warnings]) {
    log.warn(warning);
  }
  try {
    const api = ports?.controlPlane ?? new Volley({ baseUrl: options.apiUrl }).nodes;
    const membership = known ?? (await enrol({ ...options, api, key, inventory, runtime: detected.kind }));
    return { membership, key, inventory, detected };
  } catch (error) {
    await detected.close();
    throw error;
  }
}

/** What was agreed when the machine joined; what an older agent did not write down is taken from the machine as it is. */
function withSlots(dataDirectory: string, inventory: Inventory): Membership | null {
  const known = loadMembership(dataDirectory);
  if (known === null || known.slots !== undefined) {
    return known;
  }
  const membership = { ...known, slots: nameSlots(inventory) };
  saveMembership(dataDirectory, membership);
  return membership;
}

/** Containers on a Mac run in a Linux machine of their own, which has no access to the GPU. */
function wantedRuntime(options: AgentOptions, inventory: Inventory): AgentOptions["runtime"] {
  const apple = inventory.gpus.some((gpu) => gpu.vendor === "apple");
  return options.runtime === "auto" && apple ? "process" : options.runtime;
}

function newWork(options: AgentOptions, member: Member): AgentWork {
  const { apiUrl, dataDirectory, log, ports } = options;
  const { membership, key, inventory, detected } = member;
  const { nodeId } = membership;
  const names = membership.slots ?? nameSlots(inventory);
  const slots = findSlots(names, inventory);
  for (const [number, slot] of slots.entries()) {
    if (slot === "missing") {
      log.warn(`GPU ${names[number]}, which is slot ${number}, is not found; leases on it fail until it is.`);
    }
  }
  const clock = ports?.clock ?? systemClock;
  const counters = new Counters(dataDirectory, () => clock.nowMs());
  const authorize = signRequests({ nodeId, privateKey: key.privateKey, counters });
  return new AgentWork({
    nodeId,
    api: ports?.controlPlane ?? new Volley({ baseUrl: apiUrl, authorize }).nodes,
    runtime: detected.open(nodeId),
    machine: { slots, advertiseAddress: options.advertiseAddress },
    dataDirectory,
    counters,
    clock,
    random: ports?.random ?? Math.random,
    log,
  });
}
