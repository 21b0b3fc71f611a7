/**
 * Gangs over several sites whose every two ranks must be within a distance. Choosing the best such gang is a
 * clique problem, so the search is defined by anchors instead, and bounded:
 *
 * 1. Each site is an anchor in turn, in the order of its first machine. Its gang takes that machine and then every
 *    later one, in order, that is near enough to all taken so far, until each rank has a place.
 * 2. Only if no anchor's gang came about: each anchor's gang takes the machines in order that stand within half
 *    the distance of the anchor. Any two of these are near enough, so this finds a gang around every centre.
 *
 * The best gang wins; of equal ones the earlier anchor's. For two ranks on two sites step 1 is exact.
 */
import { halfway } from "../round-trip.ts";
import { type Candidates, fill, type Gang, isBetter, primaryOf, type Score, scoreOf } from "./candidates.ts";
import { isNear, ranksWithin, type Sites, sitesOf } from "./sites.ts";

/** Sites that are tried as anchors, the best first. */
export const ANCHORS_MAX = 64;

export function placeNearby(candidates: Candidates, ranksWanted: number, chordSquaredLimit: number): Gang | null {
  const sites = sitesOf(candidates);
  const anchors = Math.min(ANCHORS_MAX, sites.points.length);
  return (
    bestReach(candidates, sites, anchors, ranksWanted, chordSquaredLimit) ??
    bestCore(candidates, sites, anchors, ranksWanted, halfway(chordSquaredLimit))
  );
}

function bestReach(
  candidates: Candidates,
  sites: Sites,
  anchors: number,
  ranksWanted: number,
  limit: number,
): Gang | null {
  const { columns } = candidates.index;
  let best: Gang | null = null;
  let bestScore: Score | null = null;
  for (let anchor = 0; anchor < anchors; anchor++) {
    const first = sites.first[anchor] as number;
    if (bestScore !== null) {
      // Every rank of this gang and of all later ones is at least as dear as this machine.
      const least = ranksWanted * primaryOf(columns, candidates.order, candidates.rows[first] as number);
      if (candidates.order === "price" ? least >= bestScore.primary : least > bestScore.primary) break;
    }
    if (ranksWithin(sites, anchor, limit) < ranksWanted) continue;
    const gang = fill(candidates, ranksWanted, first, nearAll(sites, anchor, limit));
    if (gang === null) continue;
    const score = scoreOf(columns, candidates.order, gang);
    if (bestScore === null || isBetter(score, bestScore)) {
      best = gang;
      bestScore = score;
    }
  }
  return best;
}

/** Accepts a candidate whose site is near enough to the site of every one accepted before. */
function nearAll(sites: Sites, anchor: number, limit: number): (at: number) => boolean {
  const taken = [anchor];
  /** For each site how many of `taken` it is known to be near to; -1 once it is too far from one. */
  const checked = new Int32Array(sites.points.length);
  return (at) => {
    const site = sites.siteOf[at] as number;
    let known = checked[site] as number;
    if (known < 0) return false;
    while (known < taken.length && isNear(sites, site, taken[known] as number, limit)) known++;
    if (known < taken.length) {
      checked[site] = -1;
      return false;
    }
    if (site !== anchor && !taken.includes(site)) taken.push(site);
    checked[site] = taken.length;
    return true;
  };
}

function bestCore(
  candidates: Candidates,
  sites: Sites,
  anchors: number,
  ranksWanted: number,
  half: number,
): Gang | null {
  const { columns } = candidates.index;
  let best: Gang | null = null;
  let bestScore: Score | null = null;
  for (let anchor = 0; anchor < anchors; anchor++) {
    if (ranksWithin(sites, anchor, half) < ranksWanted) continue;
    const gang = fill(candidates, ranksWanted, 0, (at) => isNear(sites, sites.siteOf[at] as number, anchor, half));
    if (gang === null) continue;
    const score = scoreOf(columns, candidates.order, gang);
    if (bestScore === null || isBetter(score, bestScore)) {
      best = gang;
      bestScore = score;
    }
  }
  return best;
}
