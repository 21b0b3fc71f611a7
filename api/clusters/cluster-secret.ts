import { createHash, createHmac } from "node:crypto";
import type { Id } from "@volley/schema/ids";
import type { Settings } from "../settings.ts";

const PREFIX = "vly_cl_";
/** Keeps these secrets apart from any other use of the same key. */
const PURPOSE = "volley.cluster-secret.v1.";

/**
 * The bearer credential of one cluster. It follows from the cluster's id, so that a repeated reservation answers it
 * again although only its hash is kept.
 */
export function clusterSecret(settings: Pick<Settings, "secretKey">, id: Id<"cluster">): string {
  const mac = createHmac("sha256", settings.secretKey).update(PURPOSE + id);
  return PREFIX + mac.digest("base64url");
}

export function secretHashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
