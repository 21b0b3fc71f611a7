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
import { compileRowFilter, type Occupancy, type RowFilter } from "./index/row-filter.ts";
import { Candidates, fill, type Gang } from "./placement/candidates.ts";
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
  const { nodes } = wish;
  const link = linkOf(wish, filter);
  if (wish.prefer === "speed") return placeFastest(index, wish, filter, link);
  const candidates = new Candidates(index, wish.gpu, filter, "price");
  if (wish.prefer === "price" || nodes === 1) return placeLinked(candidates, nodes, link);
  if (link.kind === "together" && link.together === "machine") return placeTogether(candidates, nodes, "machine");
  const limit = link.kind === "near" ? link.chordSquaredLimit : link.kind === "together" ? -1 : Infinity;
  return placeClosest(candidates, nodes, limit);
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

function placeLinked(candidates: Candidates, ranksWanted: number, link: Link): Gang | null {
  switch (link.kind) {
    case "none":
      // A rank adds the same wherever the others are, so no gang has a lower sum than the first machines in order.
      return fill(candidates, ranksWanted, 0, () => true);
    case "together":
      return placeTogether(candidates, ranksWanted, link.together);
    case "near":
      return placeNearby(candidates, ranksWanted, link.chordSquaredLimit);
  }
}

/** Tries the links from the fastest down: a gang has a link when it is on one machine or in one fabric that has it. */
function placeFastest(index: NetworkIndex, wish: Wish, filter: RowFilter, link: Link): Gang | null {
  const candidates = new Candidates(index, wish.gpu, filter, "reliability");
  const together = link.kind === "together" ? link.together : "fabric";
  for (const level of linksOf(index, wish.gpu)) {
    const gang = placeTogether(candidates, wish.nodes, wish.nodes === 1 ? "machine" : together, level);
    if (gang !== null) return gang;
  }
  return placeLinked(candidates, wish.nodes, link);
}

/** The links faster than ethernet that machines of the model have, the fastest first. */
function linksOf(index: NetworkIndex, gpu: string): number[] {
  const seen = index.reachOf(gpu).links;
  return INTERCONNECTS.map((_, level) => level)
    .filter((level) => level > 0 && (seen & (1 << level)) !== 0)
    .reverse();
}
