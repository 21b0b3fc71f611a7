/**
 * Gangs over several sites whose every two ranks must be within a distance. Choosing the best such gang is a
 * clique problem, so the search is defined by anchors instead, and bounded:
 *
 * 1. Each site is an anchor in turn, in the order of its first machine. Its gang takes that machine and then every
 *    later one, in order, that is near enough to all taken so far, until each rank has a place.
 * 2. Only if no anchor's gang came about: each anchor's gang takes the machines in order that stand within half
 *    the distance of the anchor. Any two of these are near enough, so this finds a gang around every centre.
 *
 * The best gang wins; of equal ones the earlier anchor's. For two ranks on two sites step 1 is exact, as far as there
 * are anchors.
 */
import { halfway } from "../round-trip.ts";
import { type Candidates, fill, type Gang, isBetter, primaryOf, type Score, scoreOf } from "./candidates.ts";
import { Sites } from "./sites.ts";

/** Sites that are tried as anchors, the best first. */
export const ANCHORS_MAX = 32;

export function placeNearby(candidates: Candidates, ranksWanted: number, chordSquaredLimit: number): Gang | null {
  const sites = new Sites(candidates);
  return (
    bestReach(candidates, sites, ranksWanted, chordSquaredLimit) ??
    bestCore(candidates, sites, ranksWanted, halfway(chordSquaredLimit))
  );
}

function bestReach(candidates: Candidates, sites: Sites, ranksWanted: number, limit: number): Gang | null {
  const { index, order } = candidates;
  let best: Gang | null = null;
  let bestScore: Score | null = null;
  for (let anchor = 0; anchor < ANCHORS_MAX && sites.has(anchor); anchor++) {
    const first = sites.first(anchor);
    if (bestScore !== null) {
      // Every rank of this gang and of all later ones is at least as dear as this machine.
      const least = ranksWanted * primaryOf(index.columns, order, candidates.row(first));
      if (order === "price" ? least >= bestScore.primary : least > bestScore.primary) break;
    }
    // Once all candidates are known, counting is less work than trying.
    if (candidates.isComplete && !sites.haveRoomWithin(anchor, limit, ranksWanted)) continue;
    const gang = fill(candidates, ranksWanted, first, nearAll(sites, anchor, limit), bestScore);
    if (gang === null) continue;
    const score = scoreOf(index.columns, order, gang);
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
  const checked: number[] = [];
  return (at) => {
    const site = sites.of(at);
    if (site === anchor) return true;
    let known = checked[site] ?? 0;
    if (known < 0) return false;
    const isNew = known === 0;
    while (known < taken.length && sites.isNear(site, taken[known] as number, limit)) known++;
    if (known < taken.length) {
      checked[site] = -1;
      return false;
    }
    if (isNew) taken.push(site);
    checked[site] = taken.length;
    return true;
  };
}

function bestCore(candidates: Candidates, sites: Sites, ranksWanted: number, half: number): Gang | null {
  const { index, order } = candidates;
  let best: Gang | null = null;
  let bestScore: Score | null = null;
  for (let anchor = 0; anchor < ANCHORS_MAX && sites.has(anchor); anchor++) {
    if (!sites.haveRoomWithin(anchor, half, ranksWanted)) continue;
    const gang = fill(candidates, ranksWanted, 0, (at) => sites.isNear(sites.of(at), anchor, half), bestScore);
    if (gang === null) continue;
    const score = scoreOf(index.columns, order, gang);
    if (bestScore === null || isBetter(score, bestScore)) {
      best = gang;
      bestScore = score;
    }
  }
  return best;
}
