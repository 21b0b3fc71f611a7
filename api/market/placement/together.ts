/** Gangs that must share something: one machine, one fabric, or one site. */
import { grown, NONE } from "../index/columns.ts";
import { type Candidates, fill, type Gang, isBetter, primaryOf, type Score, secondaryOf } from "./candidates.ts";
import { Numbering } from "./numbering.ts";

/** What the machines of one gang have in common. A gang that fits on one machine has everything in common. */
export type Together = "machine" | "fabric" | "site";

interface Best {
  readonly score: Score;
  readonly first: number;
  /** Code of the fabric or site; null for a gang on one machine. */
  readonly group: number | null;
}

/** A search is over before the next one begins, so all share these. */
const groups = new Numbering();

/** What the first machines of each group add up to, by the group's number. */
const tallies = {
  ranks: new Uint32Array(1024),
  primary: new Float64Array(1024),
  secondary: new Float64Array(1024),
  /** Where the group's first machine stands among the candidates. */
  first: new Uint32Array(1024),
};

/** Candidates between two looks at whether the rest can still matter; doubles each time. */
const FIRST_LOOK = 16;

/**
 * The best gang on one machine or in one group. Exact: within a group any machines go together, so its best gang
 * takes them in order, and the best of all groups is the best there is. Of equal gangs the one whose first
 * machine comes first wins, on one machine before several.
 * @param linkMin only machines with at least this interconnect
 */
export function placeTogether(
  candidates: Candidates,
  ranksWanted: number,
  together: Together,
  linkMin = 0,
): Gang | null {
  const { columns } = candidates.index;
  const groupOf = together === "fabric" ? columns.fabric : columns.site;
  const hasLink = (at: number) => linkMin === 0 || (columns.interconnect[candidates.row(at)] as number) >= linkMin;
  const best =
    together === "machine" || (together === "fabric" && !candidates.hasFabric)
      ? firstMachine(candidates, ranksWanted, hasLink)
      : bestGroup(candidates, ranksWanted, { groupOf, mayBeAlone: together === "fabric", hasLink });
  if (best === null) return null;
  const { group, first } = best;
  if (group === null) return { rows: [candidates.row(first)], ranks: [ranksWanted] };
  return fill(candidates, ranksWanted, first, (at) => groupOf[candidates.row(at)] === group && hasLink(at));
}

/** Candidates are in order, so the first machine with room for all is the best one. */
function firstMachine(
  candidates: Candidates,
  ranksWanted: number,
  hasLink: (at: number) => boolean,
): Pick<Best, "first" | "group"> | null {
  if (ranksWanted > candidates.ranksMax) return null;
  for (let at = 0; candidates.has(at); at++) {
    if (candidates.ranks(at) >= ranksWanted && hasLink(at)) return { first: at, group: null };
  }
  return null;
}

interface Grouping {
  readonly groupOf: Uint32Array;
  /** Whether {@link NONE} stands for machines without a group. */
  readonly mayBeAlone: boolean;
  readonly hasLink: (at: number) => boolean;
}

function bestGroup(candidates: Candidates, ranksWanted: number, grouping: Grouping): Best | null {
  const { index, order } = candidates;
  const { columns } = index;
  groups.restart();
  let best: Best | null = null;
  let nextLook = FIRST_LOOK;
  for (let at = 0; candidates.has(at); at++) {
    if (!grouping.hasLink(at)) continue;
    const row = candidates.row(at);
    const room = candidates.ranks(at);
    const primary = primaryOf(columns, order, row);
    if (best !== null && at >= nextLook) {
      if (isSettled(best, ranksWanted, primary)) break;
      nextLook = at * 2;
    }
    const secondary = secondaryOf(columns, order, row);
    if (room >= ranksWanted) {
      const score = { primary: primary * ranksWanted, secondary: secondary * ranksWanted };
      best = better(best, { score, first: at, group: null });
    }
    const group = grouping.groupOf[row] as number;
    if (grouping.mayBeAlone && group === NONE) continue;
    const number = numberOf(group, at);
    const ranks = tallies.ranks[number] as number;
    const count = Math.min(room, ranksWanted - ranks);
    if (count === 0) continue;
    tallies.ranks[number] = ranks + count;
    tallies.primary[number] = (tallies.primary[number] as number) + primary * count;
    tallies.secondary[number] = (tallies.secondary[number] as number) + secondary * count;
    if (ranks + count === ranksWanted) best = better(best, { score: scoreOf(number), first: firstOf(number), group });
  }
  return best;
}

/** The group's number; a new one has an empty tally. */
function numberOf(group: number, at: number): number {
  const known = groups.length;
  const number = groups.of(group);
  if (number < known) return number;
  if (number === tallies.first.length) {
    tallies.ranks = grown(Uint32Array, tallies.ranks, number * 2);
    tallies.primary = grown(Float64Array, tallies.primary, number * 2);
    tallies.secondary = grown(Float64Array, tallies.secondary, number * 2);
    tallies.first = grown(Uint32Array, tallies.first, number * 2);
  }
  tallies.ranks[number] = 0;
  tallies.primary[number] = 0;
  tallies.secondary[number] = 0;
  tallies.first[number] = at;
  return number;
}

function scoreOf(number: number): Score {
  return { primary: tallies.primary[number] as number, secondary: tallies.secondary[number] as number };
}

function firstOf(number: number): number {
  return tallies.first[number] as number;
}

function better(best: Best | null, other: Best): Best {
  if (best === null || isBetter(other.score, best.score)) return other;
  return isBetter(best.score, other.score) || best.first <= other.first ? best : other;
}

/**
 * Whether no group can come to a lower sum any more, given that every machine to come adds at least `primary`. Groups
 * that have not been seen can't: each of their machines comes after all of the best gang's.
 */
function isSettled(best: Best, ranksWanted: number, primary: number): boolean {
  for (let number = 0; number < groups.length; number++) {
    const ranks = tallies.ranks[number] as number;
    if (ranks === ranksWanted) continue;
    if ((tallies.primary[number] as number) + primary * (ranksWanted - ranks) <= best.score.primary) return false;
  }
  return true;
}
