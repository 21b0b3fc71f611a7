/** How each stream of the contract knows that it is complete, and not merely cut off. */
import type { Invocation, StreamEnd } from "./calls.ts";
import type { Cluster, Output } from "./generated.ts";

const ENDED: ReadonlySet<string> = new Set(["stopped", "expired", "failed"]);

export function hasEnded(cluster: Cluster): boolean {
  return ENDED.has(cluster.status);
}

/** A command is complete when every rank that runs it has exited. */
function executionEnd(invocation: Invocation, getCluster: () => Promise<Cluster>): StreamEnd<Output> {
  const exited = new Set<number>();
  let ranks = typeof invocation.params.rank === "number" ? 1 : undefined;
  return {
    isLast(output) {
      if (output.type === "exit") exited.add(output.rank);
      return exited.size === ranks;
    },
    async isOver() {
      ranks ??= (await getCluster()).nodes.length;
      return exited.size >= ranks;
    },
  };
}

/** Logs and events go on until the cluster has ended, unless only what is there already is asked for. */
function followEnd<T>(invocation: Invocation, getCluster: () => Promise<Cluster>): StreamEnd<T> {
  return {
    isLast: () => false,
    isOver: async () => invocation.params.follow === false || hasEnded(await getCluster()),
  };
}

export function streamEnd(invocation: Invocation, getCluster: () => Promise<Cluster>): StreamEnd<unknown> {
  return invocation.operation === "clusters.exec"
    ? (executionEnd(invocation, getCluster) as StreamEnd<unknown>)
    : followEnd(invocation, getCluster);
}
