import type { SignatureInfo } from "../../ports/chain.ts";

/** The newest entry before which all is read and nothing can be added any more; null when there is none. */
export function lastSafe(
  entries: readonly SignatureInfo[],
  unread: readonly SignatureInfo[],
  finalizedSlot: bigint,
): SignatureInfo | null {
  const limits = [finalizedSlot, ...unread.map((entry) => entry.slot)];
  const limit = limits.reduce((lowest, slot) => (slot < lowest ? slot : lowest));
  // The order within a slot means nothing, so only whole slots are left behind.
  return entries.findLast((entry) => entry.slot < limit) ?? null;
}
