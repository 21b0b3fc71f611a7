import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** What decides how Podman must be set up on this machine. */
export interface PodmanSurroundings {
  readonly hasSystemd: boolean;
  /** False on a host with the first version of control groups, or with both. */
  readonly unifiedControlGroups: boolean;
  readonly hasRunc: boolean;
  readonly hasNetavark: boolean;
  /** How far this process may raise its own limits; null when unknown. */
  readonly maxOpenFiles: number | null;
  readonly maxProcesses: number | null;
}

const wantedOpenFiles = 65_536;
const wantedProcesses = 16_384;

/**
 * A containers.conf with which Podman runs containers on this machine. Left to itself it asks for limits that a
 * confined root cannot grant, for a systemd that may not run, and for an OCI runtime that refuses older control groups.
 */
export function podmanSettings(surroundings: PodmanSurroundings): string {
  const openFiles = Math.min(surroundings.maxOpenFiles ?? wantedOpenFiles, wantedOpenFiles);
  const processes = Math.min(surroundings.maxProcesses ?? wantedProcesses, wantedProcesses);
  const lines = [
    "[containers]",
    `default_ulimits = ["nofile=${openFiles}:${openFiles}", "nproc=${processes}:${processes}"]`,
    // Otherwise the host's own /etc/hosts, with the names of its neighbours, is copied into every container.
    'base_hosts_file = "none"',
    "[engine]",
    'events_logger = "file"',
    // How long an ended exec can be asked for its exit code; its monitor, a process of its own, stays until then.
    "exit_command_delay = 5",
  ];
  if (!surroundings.hasSystemd) {
    lines.push('cgroup_manager = "cgroupfs"');
  }
  if (!surroundings.unifiedControlGroups && surroundings.hasRunc) {
    lines.push('runtime = "runc"');
  }
  if (surroundings.hasNetavark) {
    lines.push("[network]", 'network_backend = "netavark"');
  }
  return `${lines.join("\n")}\n`;
}

/** Looks at this machine. */
export async function readPodmanSurroundings(): Promise<PodmanSurroundings> {
  const limits = await readFile("/proc/self/limits", "utf8");
  return {
    hasSystemd: existsSync("/run/systemd/system"),
    unifiedControlGroups: existsSync("/sys/fs/cgroup/cgroup.controllers"),
    hasRunc: ["/usr/sbin/runc", "/usr/bin/runc", "/usr/local/sbin/runc", "/usr/local/bin/runc"].some(existsSync),
    hasNetavark: ["/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"].some(existsSync),
    maxOpenFiles: hardLimit(limits, "Max open files"),
    maxProcesses: hardLimit(limits, "Max processes"),
  };
}

function hardLimit(limits: string, name: string): number | null {
  const line = limits.split("\n").find((candidate) => candidate.startsWith(name));
  const hard = line?.slice(name.length).trim().split(/\s+/)[1];
  return hard === undefined || !/^\d+$/.test(hard) ? null : Number(hard);
}
