/**
 * Where a cluster would stand: a machine for each rank, so that the whole gang meets the wish, or nothing.
 *
 * Ranks may share a machine that has room for them; that is the closest they can be. What gangs are compared by:
 * - `price`: the sum of the ranks' prices;
 * - `speed`: the slowest link between ranks, then the sum of their reliabilities, then the price;
 * - `proximity`: see `placement/closest.ts`.
 *
 * The answer is exact, but for gangs over several sites with `max_rtt_ms` or `proximity`, whose definitions are
 * in `placement/nearby.ts` and `placement/closest.ts`. Work is bounded by the model's machines times
 * {@link ANCHORS_MAX}, and is a few machines where nothing links the ranks.
 */
import { INTERCONNECTS } from "@volley/schema/resources/market";
import type { NetworkIndex } from "./index/network-index.ts";
import { compileRowFilter, type Occupancy, type RowFilter, ranksOn } from "./index/row-filter.ts";
import { placeAnywhere } from "./placement/anywhere.ts";
import { type Candidates, collect, type Gang, listOf, type Order } from "./placement/candidates.ts";
import { placeClosest } from "./placement/closest.ts";
import { placeNearby } from "./placement/nearby.ts";
import { rttMsMax } from "./placement/round-trips.ts";
import { placeTogether, type Together } from "./placement/together.ts";
import { chordSquaredMax, RTT_FABRIC_MS } from "./round-trip.ts";
import type { Wish } from "./wish.ts";

export interface Placement {
  /** The index's row of the machine of each rank. */
  readonly rows: readonly number[];
  /** Estimated worst round trip between two ranks. */
  readonly rttMsMax: number;
}

/** How the wish ties the ranks of a gang to each other. */
type Link = { readonly kind: "none" } | { readonly kind: "together"; readonly together: Together } | Near;
interface Near {
  readonly kind: "near";
  readonly chordSquaredLimit: number;
}

/** @returns null when no gang meets the wish */
export function place(index: NetworkIndex, wish: Wish, occupancy: Occupancy = "as_is"): Placement | null {
  const filter = compileRowFilter(index, wish, { gpusPerRank: wish.gpus_per_node, occupancy, perShare: true });
  const gang = placeGang(index, wish, filter);
  return gang === null ? null : { rows: spread(gang), rttMsMax: rttMsMax(index, gang) };
}

function spread(gang: Gang): number[] {
  const rows: number[] = [];
  for (const [at, row] of gang.rows.entries()) {
    for (let count = gang.ranks[at] as number; count > 0; count--) rows.push(row);
  }
  return rows;
}

function placeGang(index: NetworkIndex, wish: Wish, filter: RowFilter): Gang | null {
  const link = linkOf(wish, filter);
  if (wish.prefer === "speed") return placeFastest(index, wish, filter, link);
  if (link.kind === "none" && (wish.prefer === "price" || wish.nodes === 1)) {
    return placeAnywhere(index, wish.gpu, filter, "price", wish.nodes);
  }
  const candidates = collectFor(index, wish, filter, "price");
  if (wish.prefer === "price") return placeLinked(candidates, wish.nodes, link);
  if (link.kind === "together" && link.together === "machine") return placeTogether(candidates, wish.nodes, "machine");
  const limit = link.kind === "near" ? link.chordSquaredLimit : link.kind === "together" ? -1 : Infinity;
  return placeClosest(candidates, wish.nodes, limit);
}

/** A link faster than ethernet reaches no farther than one fabric; so does a round trip too short for a network. */
function linkOf(wish: Wish, filter: RowFilter): Link {
  if (wish.nodes === 1) return { kind: "none" };
  const { max_rtt_ms: limitMs } = wish;
  if (limitMs !== undefined && limitMs < RTT_FABRIC_MS) return { kind: "together", together: "machine" };
  const chordSquaredLimit = limitMs === undefined ? Infinity : chordSquaredMax(limitMs);
  if (filter.interconnectMin > 0 || chordSquaredLimit < 0) return { kind: "together", together: "fabric" };
  return limitMs === undefined ? { kind: "none" } : { kind: "near", chordSquaredLimit };
}

function collectFor(index: NetworkIndex, wish: Wish, filter: RowFilter, order: Order): Candidates {
  const list = listOf(index, wish.gpu, order);
  return list === undefined ? { index, order, rows: [], ranks: [] } : collect(index, list, filter, order);
}

function placeLinked(candidates: Candidates, ranksWanted: number, link: Link): Gang | null {
  switch (link.kind) {
    case "none":
      throw new Error("gangs that nothing links are placed without collecting candidates");
    case "together":
      return placeTogether(candidates, ranksWanted, link.together);
    case "near":
      return placeNearby(candidates, ranksWanted, link.chordSquaredLimit);
  }
}

/** Tries the links from the fastest down: a gang has a link when it is on one machine or in one fabric that has it. */
function placeFastest(index: NetworkIndex, wish: Wish, filter: RowFilter, link: Link): Gang | null {
  if (wish.nodes === 1) return fastestMachine(index, wish, filter);
  const candidates = collectFor(index, wish, filter, "reliability");
  const together = link.kind === "together" ? link.together : "fabric";
  for (const level of linksAmong(candidates)) {
    const gang = placeTogether(withLink(candidates, level), wish.nodes, together);
    if (gang !== null) return gang;
  }
  if (link.kind !== "none") return placeLinked(candidates, wish.nodes, link);
  return placeAnywhere(index, wish.gpu, filter, "reliability", wish.nodes);
}

/** The links faster than ethernet that candidates have, the fastest first. */
function linksAmong(candidates: Candidates): number[] {
  const { interconnect } = candidates.index.columns;
  const seen = new Set<number>();
  for (const row of candidates.rows) seen.add(interconnect[row] as number);
  return [...seen].filter((level) => level > 0).sort((a, b) => b - a);
}

function withLink(candidates: Candidates, level: number): Candidates {
  const { interconnect } = candidates.index.columns;
  const rows: number[] = [];
  const ranks: number[] = [];
  for (const [at, row] of candidates.rows.entries()) {
    if ((interconnect[row] as number) < level) continue;
    rows.push(row);
    ranks.push(candidates.ranks[at] as number);
  }
  return { ...candidates, rows, ranks };
}

function fastestMachine(index: NetworkIndex, wish: Wish, filter: RowFilter): Gang | null {
  const list = listOf(index, wish.gpu, "reliability");
  if (list === undefined) return null;
  const { interconnect } = index.columns;
  let best = -1;
  for (let at = 0; at < list.length; at++) {
    const row = list.rows[at] as number;
    if (best >= 0 && (interconnect[row] as number) <= (interconnect[best] as number)) continue;
    if (ranksOn(index.columns, filter, row) > 0) best = row;
    if (best >= 0 && interconnect[best] === INTERCONNECTS.length - 1) break;
  }
  return best < 0 ? null : { rows: [best], ranks: [1] };
}
