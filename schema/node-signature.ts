/**
 * How a node proves a request: Ed25519 over a text that binds method, path, body, channel and counter.
 * Each channel has a counter of its own that only grows, so a recorded request can't be played again
 * while three independent streams of requests need not wait for each other.
 */
export const NODE_SIGNATURE_HEADER = "volley-node-signature";
export const NODE_CHANNELS = ["heartbeat", "assignments", "report"] as const;
export type NodeChannel = (typeof NODE_CHANNELS)[number];

export interface NodeProof {
  readonly nodeId: string;
  readonly channel: NodeChannel;
  readonly counter: number;
  /** Ed25519 signature, base64url. */
  readonly signature: string;
}

/** The text that is signed. `path` includes the query. `bodySha256` is lower-case hex of the exact body bytes. */
export function nodeSignatureText(request: {
  method: string;
  path: string;
  bodySha256: string;
  nodeId: string;
  channel: NodeChannel;
  counter: number;
}): string {
  const { method, path, bodySha256, nodeId, channel, counter } = request;
  return ["volley-node-v1", method.toUpperCase(), path, bodySha256, nodeId, channel, String(counter)].join("\n");
}

export function formatNodeProof(proof: NodeProof): string {
  return `node=${proof.nodeId},channel=${proof.channel},counter=${proof.counter},signature=${proof.signature}`;
}

/** @returns null when the header is malformed */
export function parseNodeProof(header: string): NodeProof | null {
  const match =
    /^node=([a-z0-9_]{1,40}),channel=([a-z]{1,20}),counter=([0-9]{1,15}),signature=([A-Za-z0-9_-]{86})$/.exec(header);
  const [, nodeId, channelText, counterText, signature] = match ?? [];
  const channel = NODE_CHANNELS.find((known) => known === channelText);
  if (nodeId === undefined || channel === undefined || counterText === undefined || signature === undefined)
    return null;
  return { nodeId, channel, counter: Number(counterText), signature };
}
