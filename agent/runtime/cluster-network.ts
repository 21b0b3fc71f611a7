import { bridgeName, type ClusterFirewall } from "./cluster-firewall.ts";
import { labels, networkName } from "./container-options.ts";
import { type EngineConnection, engineMessage, engineStatus } from "./engine-connection.ts";
import { listContainers, listNetworks } from "./engine-contents.ts";
import { WorkloadError } from "./workload-runtime.ts";

/** Where networks are made, and for whom. */
export interface NetworkPlace {
  readonly engine: EngineConnection;
  readonly nodeId: string;
  /** Null where the engine alone keeps clusters apart. */
  readonly firewall: ClusterFirewall | null;
}

/**
 * Makes the cluster's private bridge network unless it is there. Docker keeps bridge networks apart by itself; Podman
 * does so when asked with `isolate`, which Docker ignores, but not for long in every release: see ClusterFirewall.
 * @throws WorkloadError `start_failed`
 */
export async function ensureClusterNetwork(place: NetworkPlace, clusterId: string): Promise<void> {
  const { engine, nodeId, firewall } = place;
  const name = networkName(clusterId);
  await firewall?.separate(clusterId);
  if (await networkExists(engine, clusterId)) {
    return;
  }
  try {
    await engine.docker.createNetwork({
      Name: name,
      Driver: "bridge",
      CheckDuplicate: true,
      Labels: { [labels.node]: nodeId, [labels.cluster]: clusterId },
      Options: {
        isolate: "true",
        ...(firewall === null ? {} : { "com.docker.network.bridge.name": bridgeName(clusterId) }),
      },
    });
  } catch (error) {
    // Another agent on this machine may have been faster; engines disagree about the status of that answer.
    if (!(await networkExists(engine, clusterId))) {
      throw new WorkloadError("start_failed", `The cluster's network cannot be made: ${engineMessage(error)}`, {
        cause: error,
      });
    }
  }
}

/** Sets the rules again that keep this node's clusters apart: whoever manages the host's firewall may have dropped them. */
export async function separateClusters({ engine, nodeId, firewall }: NetworkPlace): Promise<void> {
  const networks = firewall === null ? [] : await listNetworks(engine, { [labels.node]: nodeId });
  for (const clusterId of networks.map((network) => network.labels[labels.cluster])) {
    if (clusterId !== undefined) {
      await firewall?.separate(clusterId);
    }
  }
}

/**
 * Removes the networks of this node on which no container, running or not, is left. One that cannot be removed keeps no
 * other: an engine has room for few.
 * @throws what the engine said of the last of those that could not be removed
 */
export async function removeUnusedNetworks(place: NetworkPlace): Promise<void> {
  const failures: unknown[] = [];
  for (const network of await listNetworks(place.engine, { [labels.node]: place.nodeId })) {
    const clusterId = network.labels[labels.cluster];
    if (clusterId !== undefined) {
      await removeUnusedNetwork(place, network.name, clusterId).catch((error: unknown) => failures.push(error));
    }
  }
  if (failures.length > 0) {
    throw failures.at(-1);
  }
}

async function removeUnusedNetwork(place: NetworkPlace, name: string, clusterId: string): Promise<void> {
  const users = await listContainers(place.engine, { [labels.cluster]: clusterId });
  if (users.length === 0) {
    await removeNetwork(place.engine, name);
    await place.firewall?.forget(clusterId);
  }
}

async function removeNetwork({ docker }: EngineConnection, name: string): Promise<void> {
  try {
    await docker.getNetwork(name).remove();
  } catch (error) {
    const status = engineStatus(error);
    // Gone already, or taken into use since we looked: both are as they should be.
    if (status !== 404 && status !== 409 && status !== 403 && !/being used|in use/i.test(engineMessage(error))) {
      throw error;
    }
  }
}

async function networkExists(engine: EngineConnection, clusterId: string): Promise<boolean> {
  return (await listNetworks(engine, { [labels.cluster]: clusterId })).length > 0;
}
