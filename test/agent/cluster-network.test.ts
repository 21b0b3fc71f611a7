import type Docker from "dockerode";
import { expect, it } from "vitest";
import type { RunCommand } from "../../agent/inventory/run-command.ts";
import { bridgeName, ClusterFirewall } from "../../agent/runtime/cluster-firewall.ts";
import { removeUnusedNetworks } from "../../agent/runtime/cluster-network.ts";
import { labels } from "../../agent/runtime/container-options.ts";
import { ContainerRuntime } from "../../agent/runtime/container-runtime.ts";
import type { EngineConnection } from "../../agent/runtime/engine-connection.ts";

/** An engine with a network for each of these clusters. */
function engineWithNetworks(clusterIds: readonly string[], answers: object): EngineConnection {
  const docker = {
    listNetworks: async () =>
      clusterIds.map((name) => ({ Name: name, Labels: { [labels.node]: "nd_1", [labels.cluster]: name } })),
    listContainers: async () => [],
    ...answers,
  } as unknown as Docker;
  return { docker, streams: docker, flavor: "docker", libpodPath: null, isLocal: true, description: "a test's" };
}

it("a network that cannot be removed keeps no other from being removed, and is told of", async () => {
  const removed: string[] = [];
  const engine = engineWithNetworks(["stuck", "other"], {
    getNetwork: (name: string) => ({
      remove: async () => {
        if (name === "stuck") {
          throw Object.assign(new Error("the bridge is busy"), { statusCode: 500 });
        }
        removed.push(name);
      },
    }),
  });
  await expect(removeUnusedNetworks({ engine, nodeId: "nd_1", firewall: null })).rejects.toThrow("the bridge is busy");
  expect(removed).toEqual(["other"]);
});

it("a sweep sets the rules again that keep clusters apart, when somebody has dropped them", async () => {
  const container = { Id: "c1", Names: ["/volley-ls_a"], Labels: {}, State: "running" };
  const engine = engineWithNetworks(["cl_one"], { listContainers: async () => [container] });
  const rules = new Set<string>();
  const iptables: RunCommand = async (_file, [_wait, _seconds, _table, _mangle, how, ...rule]) => {
    const known = rules.has(rule.join(" "));
    rules.add(how === "-C" ? "" : rule.join(" "));
    return { exitCode: known || how !== "-C" ? 0 : 1, stdout: "", stderr: "" };
  };
  const firewall = new ClusterFirewall(iptables);
  await firewall.separate("cl_one");
  const whole = [...rules];
  expect(whole.join("\n")).toContain(bridgeName("cl_one"));
  rules.clear();
  const ensureImage = async () => "an image";
  await new ContainerRuntime({ engine, nodeId: "nd_1", firewall, ensureImage }).sweep();
  expect([...rules]).toEqual(whole);
});
