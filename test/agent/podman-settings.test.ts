import { describe, expect, it } from "vitest";
import { podmanSettings } from "../../agent/runtime/podman-settings.ts";

const ordinary = {
  hasSystemd: true,
  unifiedControlGroups: true,
  hasRunc: true,
  hasNetavark: true,
  maxOpenFiles: 1_048_576,
  maxProcesses: null,
};

describe("Podman's settings", () => {
  it("ask for no more than this process may have", () => {
    const settings = podmanSettings({ ...ordinary, maxOpenFiles: 4_096, maxProcesses: 1_000 });
    expect(settings).toContain('"nofile=4096:4096", "nproc=1000:1000"');
    expect(podmanSettings(ordinary)).toContain('"nofile=65536:65536", "nproc=16384:16384"');
  });

  it("leave an ordinary machine's control groups and runtime alone", () => {
    expect(podmanSettings(ordinary)).not.toMatch(/cgroup_manager|runtime/);
  });

  it("do without systemd, and take runc where control groups are of the older kind", () => {
    const settings = podmanSettings({ ...ordinary, hasSystemd: false, unifiedControlGroups: false });
    expect(settings).toContain('cgroup_manager = "cgroupfs"');
    expect(settings).toContain('runtime = "runc"');
  });
});
