/** Who calls, as a hash of the network address: enough to limit, useless to track. */
import { createHash } from "node:crypto";

const HASHES_KEPT = 10_000;

/** Callers with a whole IPv6 network at hand count as one: a /64 is what one subscriber gets. */
function networkOf(address: string): string {
  const plain = address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
  if (!plain.includes(":")) return plain;
  const [head = "", tail = ""] = plain.split("::", 2);
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const zeros = plain.includes("::") ? Array(Math.max(0, 8 - left.length - right.length)).fill("0") : [];
  return `${[...left, ...zeros, ...right].slice(0, 4).join(":")}::/64`;
}

/** @returns a function from addresses to hashes that mean nothing without the key */
export function callerHasher(key: string): (address: string) => string {
  const known = new Map<string, string>();
  return (address) => {
    const kept = known.get(address);
    if (kept !== undefined) return kept;
    const hash = createHash("sha256")
      .update(`caller\n${key}\n${networkOf(address)}`)
      .digest("hex")
      .slice(0, 32);
    if (known.size >= HASHES_KEPT) known.clear();
    known.set(address, hash);
    return hash;
  };
}
