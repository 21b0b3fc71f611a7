import type Docker from "dockerode";
import { expect, it } from "vitest";
import { removeUnusedNetworks } from "../../agent/runtime/cluster-network.ts";
import { labels } from "../../agent/runtime/container-options.ts";
import type { EngineConnection } from "../../agent/runtime/engine-connection.ts";

it("a network that cannot be removed keeps no other from being removed, and is told of", async () => {
  const removed: string[] = [];
  const docker = {
    listNetworks: async () =>
      ["stuck", "other"].map((name) => ({ Name: name, Labels: { [labels.node]: "nd_1", [labels.cluster]: name } })),
    listContainers: async () => [],
    getNetwork: (name: string) => ({
      remove: async () => {
        if (name === "stuck") {
          throw Object.assign(new Error("the bridge is busy"), { statusCode: 500 });
        }
        removed.push(name);
      },
    }),
  } as unknown as Docker;
  const engine = { docker, streams: docker, flavor: "docker", libpodPath: null } as unknown as EngineConnection;
  await expect(removeUnusedNetworks({ engine, nodeId: "nd_1", firewall: null })).rejects.toThrow("the bridge is busy");
  expect(removed).toEqual(["other"]);
});
