/** Merkle trees as RFC 6962 hashes them: leaves and nodes by different prefixes, so that no node passes for a leaf. */
import { createHash } from "node:crypto";

/** All levels from the leaves up; the last one is the root alone. */
export type MerkleTree = readonly (readonly Buffer[])[];

const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** @param hashes of the receipts, hex, in order; at least one */
export function merkleTree(hashes: readonly string[]): MerkleTree {
  let level = hashes.map((hash) => sha256(LEAF, Buffer.from(hash, "hex")));
  if (level.length === 0) throw new RangeError("a tree has a leaf");
  const levels = [level];
  while (level.length > 1) {
    const below = level;
    level = [];
    for (let index = 0; index < below.length; index += 2) {
      const [left, right] = [below[index], below[index + 1]];
      if (left !== undefined) level.push(right === undefined ? left : sha256(NODE, left, right));
    }
    levels.push(level);
  }
  return levels;
}

export function merkleRoot(tree: MerkleTree): string {
  return tree.at(-1)?.[0]?.toString("hex") ?? "";
}

/** Sibling hashes from the leaf up, each with the side on which it stands before it. */
export function merkleProof(tree: MerkleTree, leaf: number): string[] {
  const proof: string[] = [];
  let index = leaf;
  for (const level of tree) {
    const sibling = level[index ^ 1];
    if (sibling !== undefined) proof.push(`${index % 2 === 0 ? "R" : "L"}:${sibling.toString("hex")}`);
    index >>= 1;
  }
  return proof;
}
