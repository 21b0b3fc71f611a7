import { createHash, type KeyObject, sign } from "node:crypto";
import {
  formatNodeProof,
  NODE_SIGNATURE_HEADER,
  type NodeChannel,
  nodeSignatureText,
} from "@volley/schema/node-signature";
import type { Authorize } from "@volley/sdk";
import type { Counters } from "../state/counters.ts";

/** Which stream of requests a path belongs to; each is answered in order, and has a counter of its own. */
const channelByPath: readonly (readonly [RegExp, NodeChannel])[] = [
  [/^\/v1\/nodes\/[^/]+\/heartbeat$/, "heartbeat"],
  [/^\/v1\/nodes\/[^/]+\/assignments(\?.*)?$/, "assignments"],
  [/^\/v1\/nodes\/[^/]+\/reports$/, "report"],
];

/** Signs each attempt of each request of the node; others, such as joining, go out as they are. */
export function signRequests(node: {
  readonly nodeId: string;
  readonly privateKey: KeyObject;
  readonly counters: Counters;
}): Authorize {
  return ({ method, path, body }) => {
    const channel = channelByPath.find(([pattern]) => pattern.test(path))?.[1];
    if (channel === undefined) {
      return {};
    }
    const { nodeId } = node;
    const counter = node.counters.take(channel);
    const bodySha256 = createHash("sha256").update(body).digest("hex");
    const text = nodeSignatureText({ method, path, bodySha256, nodeId, channel, counter });
    const signature = sign(null, Buffer.from(text), node.privateKey).toString("base64url");
    return { [NODE_SIGNATURE_HEADER]: formatNodeProof({ nodeId, channel, counter, signature }) };
  };
}
