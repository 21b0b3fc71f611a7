/** Gangs that must share something: one machine, one fabric, or one site. */
import { NONE } from "../index/columns.ts";
import { type Candidates, fill, type Gang, isBetter, primaryOf, type Score, secondaryOf } from "./candidates.ts";

/** What the machines of one gang must have in common, beside the gangs that fit on one machine. */
export type Together = "machine" | "fabric" | "site";

/** What the first machines of one group add up to. */
interface Tally {
  ranks: number;
  primary: number;
  secondary: number;
  /** Where the group's first machine stands in the candidates. */
  readonly first: number;
}

interface Best {
  readonly score: Score;
  readonly first: number;
  /** Code of the fabric or site; null for a gang on one machine. */
  readonly group: number | null;
}

/**
 * The best gang on one machine or in one group. Exact: within a group any machines go together, so its best gang
 * takes them in order, and the best of all groups is the best there is. Of equal gangs the one whose first
 * machine comes first wins, on one machine before several.
 */
export function placeTogether(candidates: Candidates, ranksWanted: number, together: Together): Gang | null {
  const best = bestTogether(candidates, ranksWanted, together);
  if (best === null) return null;
  const { group, first } = best;
  if (group === null) return { rows: [candidates.rows[first] as number], ranks: [ranksWanted] };
  const groupOf = groupColumn(candidates, together);
  return fill(candidates, ranksWanted, first, (at) => groupOf[candidates.rows[at] as number] === group);
}

function groupColumn(candidates: Candidates, together: Together): Uint32Array {
  const { columns } = candidates.index;
  return together === "fabric" ? columns.fabric : columns.site;
}

function bestTogether(candidates: Candidates, ranksWanted: number, together: Together): Best | null {
  const { index, order, rows, ranks } = candidates;
  const { columns } = index;
  const groupOf = groupColumn(candidates, together);
  const tallies = new Map<number, Tally>();
  let best: Best | null = null;
  const consider = (score: Score, first: number, group: number | null) => {
    const isFirst = best === null || isBetter(score, best.score);
    const isEarlier = best !== null && !isBetter(best.score, score) && first < best.first;
    if (isFirst || isEarlier) best = { score, first, group };
  };
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at] as number;
    const room = ranks[at] as number;
    const primary = primaryOf(columns, order, row);
    const secondary = secondaryOf(columns, order, row);
    if (room >= ranksWanted) {
      consider({ primary: primary * ranksWanted, secondary: secondary * ranksWanted }, at, null);
    }
    const group = groupOf[row] as number;
    if (together === "machine" || (together === "fabric" && group === NONE)) continue;
    let tally = tallies.get(group);
    if (tally === undefined) {
      tally = { ranks: 0, primary: 0, secondary: 0, first: at };
      tallies.set(group, tally);
    }
    const count = Math.min(room, ranksWanted - tally.ranks);
    if (count === 0) continue;
    tally.ranks += count;
    tally.primary += primary * count;
    tally.secondary += secondary * count;
    if (tally.ranks === ranksWanted) consider({ ...tally }, tally.first, group);
  }
  return best;
}
