/** What a quote token says, and its compact form: the head as JSON, then one short binary entry per machine. */
import { Buffer } from "node:buffer";
import { type Id, idFromBytes, idToBytes } from "@volley/schema/ids";
import {
  INTERCONNECTS,
  type Interconnect,
  ISOLATIONS,
  type Isolation,
  SUPPLIER_CLASSES,
  type SupplierClass,
} from "@volley/schema/resources/market";
import { ByteReader, ByteWriter } from "./byte-stream.ts";
import type { Wish } from "./wish.ts";

export interface QuotedRank {
  readonly nodeId: Id<"node">;
  readonly rateMicroUsdcPerGpuHour: bigint;
  readonly country: string;
  readonly region: string;
  readonly interconnect: Interconnect;
  readonly reliabilityPpm: number;
  readonly isolation: Isolation;
  readonly supplierClass: SupplierClass;
}

export interface QuotePayload {
  readonly id: Id<"quote">;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** The platform fee that the total was computed with. */
  readonly feeBps: number;
  /** What was asked for, so that a fresh quote can be made for it; its `gpu` is the slug. */
  readonly wish: Wish;
  /** One entry per rank, rank 0 first. */
  readonly ranks: readonly QuotedRank[];
  readonly rttMsMax: number;
}

/** Changes whenever the form does; tokens of another version are refused. */
const VERSION = 1;

/** What the plan says of regions takes at most this much of the token; longer names are cut to fit. */
const REGION_BYTES_MAX = 8192;
const REGION_LENGTH_MAX = 64;

interface Head {
  readonly id: string;
  readonly created: number;
  readonly expires: number;
  readonly fee: number;
  readonly wish: Wish;
  readonly rtt: number;
  readonly countries: readonly string[];
}

/** The payload as its token will say it: region names cut to the room that a token has for them. */
export function fitRegions(ranks: readonly QuotedRank[]): readonly QuotedRank[] {
  const regions = new Set(ranks.map((rank) => rank.region));
  const bytesMax = Math.min(REGION_LENGTH_MAX, Math.floor(REGION_BYTES_MAX / Math.max(1, regions.size)) - 1);
  const cut = new Map([...regions].map((region) => [region, cutToBytes(region, bytesMax)]));
  return ranks.map((rank) => ({ ...rank, region: cut.get(rank.region) ?? "" }));
}

function cutToBytes(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  let kept = "";
  let bytes = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > bytesMax) break;
    kept += character;
  }
  return kept;
}

export function encodePayload(payload: QuotePayload): Uint8Array {
  const countries = [...new Set(payload.ranks.map((rank) => rank.country))];
  const regions = [...new Set(payload.ranks.map((rank) => rank.region))];
  const head: Head = {
    id: payload.id,
    created: payload.createdAtMs,
    expires: payload.expiresAtMs,
    fee: payload.feeBps,
    wish: payload.wish,
    rtt: payload.rttMsMax,
    countries,
  };
  const writer = new ByteWriter();
  writer.byte(VERSION);
  writer.text(JSON.stringify(head));
  writer.varint(regions.length);
  for (const region of regions) writer.text(region);
  for (let at = 0; at < payload.ranks.length; ) {
    const rank = payload.ranks[at] as QuotedRank;
    let count = 1;
    while (payload.ranks[at + count]?.nodeId === rank.nodeId) count++;
    writer.varint(count);
    writer.bytes(idToBytes(rank.nodeId));
    writer.varint(Number(rank.rateMicroUsdcPerGpuHour));
    writer.varint(rank.reliabilityPpm);
    writer.varint(countries.indexOf(rank.country));
    writer.varint(regions.indexOf(rank.region));
    writer.byte(INTERCONNECTS.indexOf(rank.interconnect));
    writer.byte(ISOLATIONS.indexOf(rank.isolation));
    writer.byte(SUPPLIER_CLASSES.indexOf(rank.supplierClass));
    at += count;
  }
  return writer.finish();
}

/**
 * Reads what {@link encodePayload} wrote. The bytes must have been verified: nothing else is checked here.
 * @returns null when they are of another version
 */
export function decodePayload(bytes: Uint8Array): QuotePayload | null {
  const reader = new ByteReader(bytes);
  if (reader.byte() !== VERSION) return null;
  const head = JSON.parse(reader.text()) as Head;
  const regions = Array.from({ length: reader.varint() }, () => reader.text());
  const ranks: QuotedRank[] = [];
  while (!reader.isAtEnd()) {
    const count = reader.varint();
    const rank: QuotedRank = {
      nodeId: idFromBytes("node", reader.bytes(16)),
      rateMicroUsdcPerGpuHour: BigInt(reader.varint()),
      reliabilityPpm: reader.varint(),
      country: head.countries[reader.varint()] as string,
      region: regions[reader.varint()] as string,
      interconnect: INTERCONNECTS[reader.byte()] as Interconnect,
      isolation: ISOLATIONS[reader.byte()] as Isolation,
      supplierClass: SUPPLIER_CLASSES[reader.byte()] as SupplierClass,
    };
    for (let at = 0; at < count; at++) ranks.push(rank);
  }
  return {
    id: head.id as Id<"quote">,
    createdAtMs: head.created,
    expiresAtMs: head.expires,
    feeBps: head.fee,
    wish: head.wish,
    rttMsMax: head.rtt,
    ranks,
  };
}
