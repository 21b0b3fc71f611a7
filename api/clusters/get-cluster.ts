import type { InputOf, Operations, OutputOf } from "@volley/schema";
import type { Context } from "../context.ts";
import { openCluster } from "./open-cluster.ts";
import { toClusterResource } from "./to-cluster-resource.ts";

type Get = Operations["clusters.get"];

/** @throws {VolleyError} `unauthenticated`, `not_found` */
export async function getCluster(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  return toClusterResource(ctx, await openCluster(ctx, input.id));
}
