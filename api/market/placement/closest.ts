/**
 * The closest gang, for `prefer: proximity`: on one machine if any can hold it, else in one fabric, else at one
 * site, else around an anchor; the cheapest of its kind.
 *
 * Around an anchor: its ball is the nearest sites that together have room for all ranks, and its gang the cheapest
 * machines in the ball. The ball with the shortest worst distance between two of its sites wins; of equal ones
 * the earlier anchor's.
 */
import { chordSquared, type Point } from "../round-trip.ts";
import { type Candidates, fill, type Gang } from "./candidates.ts";
import { ANCHORS_MAX, placeNearby } from "./nearby.ts";
import { type Sites, sitesOf } from "./sites.ts";
import { placeTogether } from "./together.ts";

/** @param chordSquaredLimit as far as two ranks may be apart; negative when only one fabric will do */
export function placeClosest(candidates: Candidates, ranksWanted: number, chordSquaredLimit: number): Gang | null {
  for (const together of ["machine", "fabric"] as const) {
    const gang = placeTogether(candidates, ranksWanted, together);
    if (gang !== null) return gang;
  }
  if (chordSquaredLimit < 0) return null;
  return (
    placeTogether(candidates, ranksWanted, "site") ??
    placeInBall(candidates, ranksWanted, chordSquaredLimit) ??
    // A ball may be wider than the limit where a gang that leaves some of its sites out is not.
    placeNearby(candidates, ranksWanted, chordSquaredLimit)
  );
}

interface Ball {
  readonly sites: ReadonlySet<number>;
  /** Square of the chord between its two sites that are farthest apart. */
  readonly width: number;
}

function placeInBall(candidates: Candidates, ranksWanted: number, chordSquaredLimit: number): Gang | null {
  const sites = sitesOf(candidates);
  let best: Ball | null = null;
  let bestWidth = chordSquaredLimit;
  for (let anchor = 0; anchor < Math.min(ANCHORS_MAX, sites.points.length); anchor++) {
    const ball = ballAround(sites, anchor, ranksWanted, bestWidth);
    if (ball === null) continue;
    if (best !== null && ball.width === bestWidth) continue;
    best = ball;
    bestWidth = ball.width;
  }
  if (best === null) return null;
  const { sites: inside } = best;
  return fill(candidates, ranksWanted, 0, (at) => inside.has(sites.siteOf[at] as number));
}

/** @returns null when the ball would be wider than `widthMax`, or all sites together have too little room */
function ballAround(sites: Sites, anchor: number, ranksWanted: number, widthMax: number): Ball | null {
  const centre = sites.points[anchor] as Point;
  const away = Float64Array.from(sites.points, (point) => chordSquared(centre, point));
  const taken = new Set<number>();
  let ranks = 0;
  let width = 0;
  while (ranks < ranksWanted) {
    const next = nearestNotIn(taken, away);
    if (next < 0 || (away[next] as number) > widthMax) return null;
    for (const site of taken) {
      width = Math.max(width, chordSquared(sites.points[site] as Point, sites.points[next] as Point));
    }
    if (width > widthMax) return null;
    taken.add(next);
    ranks += sites.ranks[next] as number;
  }
  return { sites: taken, width };
}

/** The earlier of two that are equally far away. */
function nearestNotIn(taken: ReadonlySet<number>, away: Float64Array): number {
  let nearest = -1;
  for (let site = 0; site < away.length; site++) {
    if (!taken.has(site) && (nearest < 0 || (away[site] as number) < (away[nearest] as number))) nearest = site;
  }
  return nearest;
}
