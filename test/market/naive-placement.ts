/**
 * Placement once more, written for reading: plain objects, filter and sort, no index. It follows the definitions in
 * `api/market/placement*`; property tests and the bench hold the index to its answers.
 */
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import { ANCHORS_MAX } from "../../api/market/placement/nearby.ts";
import {
  chordSquared,
  chordSquaredMax,
  halfway,
  RTT_FABRIC_MS,
  RTT_HOST_MS,
  rttMsOfChord,
  siteKey,
  sitePoint,
} from "../../api/market/round-trip.ts";
import type { Wish } from "../../api/market/wish.ts";
import { INTERCONNECTS, ISOLATIONS, parseUsdc } from "../../schema/index.ts";

export interface NaivePlacement {
  /** Id of the machine of each rank. */
  readonly ids: string[];
  readonly rttMsMax: number;
}

/** Machines of a gang, one entry per rank. */
type Gang = NodeRecord[];
type Compare = (a: NodeRecord, b: NodeRecord) => number;

const byId: Compare = (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
const byPrice: Compare = (a, b) =>
  a.priceMicroUsdcPerGpuHour - b.priceMicroUsdcPerGpuHour || b.reliabilityPpm - a.reliabilityPpm || byId(a, b);
const byReliability: Compare = (a, b) =>
  b.reliabilityPpm - a.reliabilityPpm || a.priceMicroUsdcPerGpuHour - b.priceMicroUsdcPerGpuHour || byId(a, b);

export function naiveMatches(node: NodeRecord, wish: Wish): boolean {
  /** Whether the rank's share of the machine, by its part of the GPUs, comes to that much. */
  const hasShare = (whole: number, wanted: number | undefined) =>
    wanted === undefined || whole * wish.gpus_per_node >= wanted * node.gpusTotal;
  return (
    node.status === "online" &&
    node.gpu === wish.gpu &&
    node.gpusFree >= wish.gpus_per_node &&
    (wish.countries === undefined || wish.countries.includes(node.country)) &&
    (wish.regions === undefined || wish.regions.includes(node.region)) &&
    (wish.interconnect === undefined ||
      INTERCONNECTS.indexOf(node.interconnect) >= INTERCONNECTS.indexOf(wish.interconnect)) &&
    (wish.min_reliability === undefined || node.reliabilityPpm >= Math.round(wish.min_reliability * 1e6)) &&
    (wish.isolation === undefined || ISOLATIONS.indexOf(node.isolation) >= ISOLATIONS.indexOf(wish.isolation)) &&
    (wish.supplier_class === undefined || node.supplierClass === wish.supplier_class) &&
    (wish.max_price_per_gpu_hour === undefined ||
      node.priceMicroUsdcPerGpuHour <= Number(parseUsdc(wish.max_price_per_gpu_hour))) &&
    hasShare(node.cpuCores, wish.min_cpu_cores) &&
    hasShare(node.memoryGib, wish.min_memory_gib) &&
    hasShare(node.diskGib, wish.min_disk_gib)
  );
}

const room = (node: NodeRecord, wish: Wish) => Math.floor(node.gpusFree / wish.gpus_per_node);

const points = new Map<number, ReturnType<typeof sitePoint>>();
function chord(a: number, b: number): number {
  const point = (key: number) => {
    const known = points.get(key) ?? sitePoint(key);
    points.set(key, known);
    return known;
  };
  return a === b ? 0 : chordSquared(point(a), point(b));
}

const siteOf = (node: NodeRecord) => siteKey(node.latitude, node.longitude);

export function naiveRttMs(a: NodeRecord, b: NodeRecord): number {
  if (a.id === b.id) return RTT_HOST_MS;
  if (a.fabric !== null && a.fabric === b.fabric) return RTT_FABRIC_MS;
  return rttMsOfChord(chord(siteOf(a), siteOf(b)));
}

/** Takes machines in order until each rank has a place. */
function take(nodes: readonly NodeRecord[], wish: Wish): Gang | null {
  const gang: Gang = [];
  for (const node of nodes) {
    for (let count = room(node, wish); count > 0 && gang.length < wish.nodes; count--) gang.push(node);
    if (gang.length === wish.nodes) return gang;
  }
  return null;
}

/** The first of the gangs with the least score. */
function best(gangs: readonly (Gang | null)[], scoreOf: (gang: Gang) => readonly number[]): Gang | null {
  let chosen: Gang | null = null;
  let chosenScore: readonly number[] = [];
  for (const gang of gangs) {
    if (gang === null) continue;
    const score = scoreOf(gang);
    const at = score.findIndex((value, index) => value !== chosenScore[index]);
    if (chosen === null || (at >= 0 && (score[at] ?? 0) < (chosenScore[at] ?? 0))) {
      chosen = gang;
      chosenScore = score;
    }
  }
  return chosen;
}

const total = (gang: Gang) => gang.reduce((sum, node) => sum + node.priceMicroUsdcPerGpuHour, 0);
const reliability = (gang: Gang) => gang.reduce((sum, node) => sum + node.reliabilityPpm, 0);

interface Ordered {
  /** Machines that meet the wish, the preferred first. */
  readonly nodes: readonly NodeRecord[];
  readonly wish: Wish;
  readonly scoreOf: (gang: Gang) => readonly number[];
}

function together(
  { nodes, wish, scoreOf }: Ordered,
  groupOf: (node: NodeRecord) => string | number | null,
): Gang | null {
  const groups = Map.groupBy(nodes, groupOf);
  const gangs = nodes.map((node): [Gang | null, Gang | null] => {
    const single = room(node, wish) >= wish.nodes ? Array<NodeRecord>(wish.nodes).fill(node) : null;
    const group = groupOf(node) === null ? [] : (groups.get(groupOf(node)) ?? []);
    return [single, group[0] === node ? take(group, wish) : null];
  });
  return best(gangs.flat(), scoreOf);
}

function firstOfSites(nodes: readonly NodeRecord[]): NodeRecord[] {
  const seen = new Set<number>();
  return nodes.filter((node) => !seen.has(siteOf(node)) && seen.add(siteOf(node))).slice(0, ANCHORS_MAX);
}

function nearby({ nodes, wish, scoreOf }: Ordered, limit: number): Gang | null {
  const near = (a: NodeRecord, b: NodeRecord, reach: number) => chord(siteOf(a), siteOf(b)) <= reach;
  const anchors = firstOfSites(nodes);
  const reach = anchors.map((anchor) => {
    const taken: NodeRecord[] = [];
    let ranks = 0;
    for (const node of nodes.slice(nodes.indexOf(anchor))) {
      if (ranks >= wish.nodes) break;
      if (!taken.every((other) => near(other, node, limit))) continue;
      taken.push(node);
      ranks += room(node, wish);
    }
    return take(taken, wish);
  });
  const core = () =>
    anchors.map((anchor) =>
      take(
        nodes.filter((node) => near(anchor, node, halfway(limit))),
        wish,
      ),
    );
  return best(reach, scoreOf) ?? best(core(), scoreOf);
}

function inBall({ nodes, wish }: Ordered, limit: number): Gang | null {
  const keys = [...new Set(nodes.map(siteOf))];
  const ranksAt = new Map<number, number>();
  for (const node of nodes) ranksAt.set(siteOf(node), (ranksAt.get(siteOf(node)) ?? 0) + room(node, wish));
  const balls = keys.slice(0, ANCHORS_MAX).flatMap((anchor) => {
    const nearest = keys
      .map((key, at) => ({ key, at, away: chord(anchor, key) }))
      .sort((a, b) => a.away - b.away || a.at - b.at);
    const ball: number[] = [];
    let ranks = 0;
    for (const { key } of nearest) {
      if (ranks >= wish.nodes) break;
      ball.push(key);
      ranks += ranksAt.get(key) ?? 0;
    }
    const width = Math.max(...ball.flatMap((a) => ball.map((b) => chord(a, b))));
    if (ranks < wish.nodes || width > limit) return [];
    return [
      {
        width,
        gang: take(
          nodes.filter((node) => ball.includes(siteOf(node))),
          wish,
        ),
      },
    ];
  });
  return best(
    balls.map((ball) => ball.gang),
    (gang) => [balls.find((ball) => ball.gang === gang)?.width ?? 0],
  );
}

function linked(ordered: Ordered): Gang | null {
  const { wish, nodes } = ordered;
  if (wish.nodes === 1) return take(nodes, wish);
  const limitMs = wish.max_rtt_ms ?? Infinity;
  if (limitMs < RTT_FABRIC_MS) return together(ordered, () => null);
  const limit = limitMs === Infinity ? Infinity : chordSquaredMax(limitMs);
  const isLinked = wish.interconnect !== undefined && wish.interconnect !== "ethernet";
  if (isLinked || limit < 0) return together(ordered, (node) => node.fabric);
  return limit === Infinity ? take(nodes, wish) : nearby(ordered, limit);
}

function closest(ordered: Ordered): Gang | null {
  const { wish } = ordered;
  const limitMs = wish.max_rtt_ms ?? Infinity;
  const onMachine = together(ordered, () => null);
  if (onMachine !== null || limitMs < RTT_FABRIC_MS) return onMachine;
  const inFabric = together(ordered, (node) => node.fabric);
  const limit = limitMs === Infinity ? Infinity : chordSquaredMax(limitMs);
  const isLinked = wish.interconnect !== undefined && wish.interconnect !== "ethernet";
  if (inFabric !== null || isLinked || limit < 0) return inFabric;
  return together(ordered, siteOf) ?? inBall(ordered, limit) ?? nearby(ordered, limit);
}

function fastest(ordered: Ordered): Gang | null {
  const { nodes, wish } = ordered;
  for (let level = INTERCONNECTS.length - 1; level > 0; level--) {
    const withLink = { ...ordered, nodes: nodes.filter((node) => INTERCONNECTS.indexOf(node.interconnect) >= level) };
    const fabricOf = (node: NodeRecord) => ((wish.max_rtt_ms ?? Infinity) < RTT_FABRIC_MS ? null : node.fabric);
    const gang = wish.nodes === 1 ? take(withLink.nodes, wish) : together(withLink, fabricOf);
    if (gang !== null) return gang;
  }
  return linked(ordered);
}

export function naivePlace(network: readonly NodeRecord[], wish: Wish): NaivePlacement | null {
  const isSpeed = wish.prefer === "speed";
  const ordered: Ordered = {
    nodes: network.filter((node) => naiveMatches(node, wish)).sort(isSpeed ? byReliability : byPrice),
    wish,
    scoreOf: isSpeed ? (gang) => [-reliability(gang), total(gang)] : (gang) => [total(gang)],
  };
  const gang = isSpeed
    ? fastest(ordered)
    : wish.prefer === "proximity" && wish.nodes > 1
      ? closest(ordered)
      : linked(ordered);
  if (gang === null) return null;
  const pairs = gang.flatMap((a, at) => gang.slice(0, at).map((b) => naiveRttMs(a, b)));
  return { ids: gang.map((node) => node.id), rttMsMax: Math.max(0, ...pairs) };
}
