/**
 * Identifiers are TypeIDs: a prefix that names the kind and a UUIDv7 in base32
 * (TypeID specification 0.3.0). They sort by creation time.
 */
import { fromUUIDBytes, type TypeId, toUUIDBytes } from "typeid-js";
import { z } from "zod";

/** One prefix per kind of object; a prefix is never reused for another kind. */
export const ID_PREFIXES = {
  quote: "qt",
  cluster: "cl",
  lease: "ls",
  node: "nd",
  payment: "pay",
  refund: "rfd",
  transfer: "tr",
  event: "evt",
  supplier: "sup",
  account: "acct",
  receipt: "rcp",
  screening: "scr",
  execution: "exe",
  request: "req",
} as const;

export type IdKind = keyof typeof ID_PREFIXES;

declare const idKind: unique symbol;

/** A string that is known to be an id of the given kind. */
export type Id<Kind extends IdKind> = string & { readonly [idKind]: Kind };

const idPattern = (kind: IdKind) => new RegExp(`^${ID_PREFIXES[kind]}_[0-7][0-9a-hjkmnp-tv-z]{25}$`);

export function isId<Kind extends IdKind>(kind: Kind, value: string): value is Id<Kind> {
  return idPattern(kind).test(value);
}

/** @throws {TypeError} when the text is not an id of that kind */
export function parseId<Kind extends IdKind>(kind: Kind, value: string): Id<Kind> {
  if (!isId(kind, value)) throw new TypeError(`expected an id that starts with "${ID_PREFIXES[kind]}_"`);
  return value;
}

/** Makes an id from a moment and 10 random bytes (UUIDv7, RFC 9562 section 5.7). */
export function makeId<Kind extends IdKind>(kind: Kind, nowMs: number, random: Uint8Array): Id<Kind> {
  if (random.length < 10) throw new RangeError("an id needs 10 random bytes");
  const bytes = new Uint8Array(16);
  let rest = Math.trunc(nowMs);
  for (let index = 5; index >= 0; index--) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return fromUUIDBytes(ID_PREFIXES[kind], bytes) as string as Id<Kind>;
}

/** The 16 bytes of an id without its prefix: two thirds of its length, for compact tokens. */
export function idToBytes<Kind extends IdKind>(id: Id<Kind>): Uint8Array {
  return toUUIDBytes(id as string as TypeId<string>);
}

/** @throws {RangeError} when there are not 16 bytes */
export function idFromBytes<Kind extends IdKind>(kind: Kind, bytes: Uint8Array): Id<Kind> {
  if (bytes.length !== 16) throw new RangeError("an id has 16 bytes");
  return fromUUIDBytes(ID_PREFIXES[kind], bytes) as string as Id<Kind>;
}

/** The zod schema of an id; a value of another kind is refused with a sentence that names the prefix. */
export function idSchema<Kind extends IdKind>(kind: Kind) {
  return z
    .string()
    .regex(idPattern(kind), `must be a ${kind} id, which starts with "${ID_PREFIXES[kind]}_"`)
    .transform((value) => value as Id<Kind>);
}

/** The id in an answer: already branded, so the schema only documents its pattern. */
export function idOutput<Kind extends IdKind>(kind: Kind) {
  return z
    .custom<Id<Kind>>((value) => typeof value === "string" && isId(kind, value))
    .meta({
      type: "string",
      pattern: idPattern(kind).source,
    });
}
