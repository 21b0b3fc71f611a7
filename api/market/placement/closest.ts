/**
 * The closest gang, for `prefer: proximity`: on one machine if any can hold it, else in one fabric, else at one
 * site, else around an anchor; the cheapest of its kind.
 *
 * Around an anchor: its ball is the nearest sites that together have room for all ranks, and its gang the cheapest
 * machines in the ball. The ball with the shortest worst distance between two of its sites wins; of equal ones
 * the earlier anchor's.
 */
import { type Candidates, fill, type Gang } from "./candidates.ts";
import { ANCHORS_MAX, placeNearby } from "./nearby.ts";
import { Sites } from "./sites.ts";
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
  const sites = new Sites(candidates);
  sites.all();
  let best: Ball | null = null;
  let bestWidth = chordSquaredLimit;
  for (let anchor = 0; anchor < Math.min(ANCHORS_MAX, sites.length); anchor++) {
    const ball = ballAround(sites, anchor, ranksWanted, bestWidth, best === null);
    if (ball === null) continue;
    if (best !== null && ball.width === bestWidth) continue;
    best = ball;
    bestWidth = ball.width;
  }
  if (best === null) return null;
  const { sites: inside } = best;
  return fill(candidates, ranksWanted, 0, (at) => inside.has(sites.of(at)));
}

/** @returns null when the ball would be wider than `widthMax`, or all sites together have too little room */
function ballAround(
  sites: Sites,
  anchor: number,
  ranksWanted: number,
  widthMax: number,
  isFirst: boolean,
): Ball | null {
  const taken = nearestSites(sites, anchor, ranksWanted, { widthMax, isFirst });
  if (taken.length === 0) return null;
  const width = sites.width(taken, widthMax);
  return width === null ? null : { sites: new Set(taken), width };
}

/** Square of the chord of about 40 km, where the search for neighbours begins. */
const NEIGHBOURHOOD = 4e-5;

interface Reach {
  readonly widthMax: number;
  /** Whether `widthMax` is a wish's, which may be far more than a ball needs, and not yet another ball's. */
  readonly isFirst: boolean;
}

/** The nearest sites to an anchor that together have room for all ranks; none when there is too little room. */
function nearestSites(sites: Sites, anchor: number, ranksWanted: number, { widthMax, isFirst }: Reach): Uint32Array {
  // Choosing among all sites would cost more than looking a few times farther away.
  for (let reach = isFirst ? NEIGHBOURHOOD : widthMax; ; reach *= 9) {
    const limit = Math.min(reach, widthMax);
    const near = sites.nearest(anchor, limit, ranksWanted);
    // No two points of the sphere are farther apart than its diameter.
    if (near.length > 0 || reach >= widthMax || reach > 4) return near;
  }
}
