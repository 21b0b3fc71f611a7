import type { webcrypto } from "node:crypto";
import { VolleyError } from "@volley/schema/errors";
import { isId } from "@volley/schema/ids";
import { type NodeProof, nodeSignatureText } from "@volley/schema/node-signature";
import { eq } from "drizzle-orm";
import type { Actor } from "../context.ts";
import type { Database } from "../db/database.ts";
import { nodes } from "../db/tables.ts";

const KEYS_KEPT_MAX = 20_000;
/** A node's key never changes, so it is read once. */
const keys = new WeakMap<Database, Map<string, webcrypto.CryptoKey>>();

/**
 * Proves which node sent a request (`schema/node-signature.ts`). That the counter is fresh is for the verb to see to.
 * @param request `path` with the query; `bodySha256` of the exact bytes, lower-case hex
 * @throws {VolleyError} `node_signature_invalid`, for an unknown node too
 */
export async function verifyNodeProof(
  services: { readonly db: Database },
  proof: NodeProof,
  request: { readonly method: string; readonly path: string; readonly bodySha256: string },
): Promise<Extract<Actor, { kind: "node" }>> {
  const { nodeId, channel, counter } = proof;
  const key = isId("node", nodeId) ? await keyOf(services.db, nodeId) : null;
  const signature = Buffer.from(proof.signature, "base64url");
  const text = new TextEncoder().encode(nodeSignatureText({ ...request, nodeId, channel, counter }));
  const isGenuine = key !== null && (await crypto.subtle.verify("Ed25519", key, signature, text));
  if (!isGenuine || !isId("node", nodeId)) {
    throw new VolleyError("node_signature_invalid", "The node's signature doesn't match the request.", {
      nextAction: "Sign method, path with query, body, channel and counter exactly as they are sent.",
    });
  }
  return { kind: "node", nodeId, channel, counter };
}

async function keyOf(db: Database, nodeId: string): Promise<webcrypto.CryptoKey | null> {
  const known = keys.get(db) ?? new Map<string, webcrypto.CryptoKey>();
  keys.set(db, known);
  const cached = known.get(nodeId);
  if (cached !== undefined) return cached;
  const [node] = await db.select({ publicKey: nodes.publicKey }).from(nodes).where(eq(nodes.id, nodeId));
  if (node === undefined || node.publicKey === null) return null;
  const bytes = Buffer.from(node.publicKey, "base64url");
  const key = await crypto.subtle.importKey("raw", bytes, { name: "Ed25519" }, false, ["verify"]);
  if (known.size >= KEYS_KEPT_MAX) known.clear();
  known.set(nodeId, key);
  return key;
}
