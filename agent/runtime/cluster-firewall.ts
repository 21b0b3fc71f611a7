import { createHash } from "node:crypto";
import type { RunCommand } from "../inventory/run-command.ts";
import { WorkloadError } from "./workload-runtime.ts";

const chain = "VOLLEY_ISOLATION";
const bridgePrefix = "vly-";
const commandTimeoutMs = 15_000;

/** The bridge of a cluster's network; an interface name holds 15 characters. */
export function bridgeName(clusterId: string): string {
  return bridgePrefix + createHash("sha256").update(clusterId).digest("hex").slice(0, 11);
}

/**
 * Keeps clusters on one machine apart where the engine cannot be trusted with it: Podman 4.3 with netavark 1.4 drops
 * its own isolation for all networks as soon as one of them is removed. What is forwarded from one cluster's bridge to
 * another's is dropped, by rules in a table that no engine touches. Each rule is looked for before it is added, so all
 * of this may be repeated, and several agents may do it at once.
 */
export class ClusterFirewall {
  readonly #runCommand: RunCommand;

  constructor(runCommand: RunCommand) {
    this.#runCommand = runCommand;
  }

  /**
   * Closes the way between clusters, and opens it within one: some hosts filter what stays on a bridge, too.
   * @throws WorkloadError `start_failed` when the rules cannot be set.
   */
  async separate(clusterId: string): Promise<void> {
    const bridge = bridgeName(clusterId);
    // Fails when the chain is there already.
    await this.#iptables(["-N", chain]);
    await this.#ensure("-A", [chain, "-j", "DROP"]);
    await this.#ensure("-I", [chain, "-i", bridge, "-o", bridge, "-j", "RETURN"]);
    await this.#ensure("-I", ["FORWARD", "-i", `${bridgePrefix}+`, "-o", `${bridgePrefix}+`, "-j", chain]);
  }

  /** Forgets a cluster that is gone. */
  async forget(clusterId: string): Promise<void> {
    const bridge = bridgeName(clusterId);
    // Fails when the rule is gone already, which is as it should be.
    await this.#iptables(["-D", chain, "-i", bridge, "-o", bridge, "-j", "RETURN"]);
  }

  async #ensure(how: "-A" | "-I", rule: readonly string[]): Promise<void> {
    if ((await this.#iptables(["-C", ...rule])) === null) {
      return;
    }
    const problem = await this.#iptables([how, ...rule]);
    if (problem !== null) {
      throw new WorkloadError("start_failed", `The rule that keeps clusters apart cannot be set: ${problem}`);
    }
  }

  /** Answers what went wrong, or null. */
  async #iptables(args: readonly string[]): Promise<string | null> {
    const command = ["--wait", "5", "--table", "mangle", ...args];
    const result = await this.#runCommand("iptables", command, { timeoutMs: commandTimeoutMs });
    if (result === null) {
      return "iptables is not installed";
    }
    return result.exitCode === 0 ? null : result.stderr.trim().slice(0, 300) || `exit code ${result.exitCode}`;
  }
}
