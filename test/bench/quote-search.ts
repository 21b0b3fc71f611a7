/**
 * Quote search over the full network, indexed against a naive scan: the same wishes, the two in turn, and equal answers
 * or the bench fails.
 */
import { seedNodes } from "../../api/db/seed/network.ts";
import { explainUnmet } from "../../api/market/alternatives.ts";
import { NetworkIndex } from "../../api/market/index/network-index.ts";
import type { NodeRecord } from "../../api/market/index/node-record.ts";
import { place } from "../../api/market/placement.ts";
import type { Wish } from "../../api/market/wish.ts";
import { naivePlace } from "../market/naive-placement.ts";
import { networkMemory } from "./network-memory.ts";
import { randomWishes, rentedOut } from "./random-wishes.ts";
import { type BenchRow, median, spread } from "./row.ts";

const SEED = 42;
const NODES = 190_000;
const WISHES = 1_400;
/** Every wish goes to the index in each round, and to the naive scan in one of them. */
const ROUNDS = 7;
const RENTED_SHARE = 0.55;

interface Figures {
  readonly p50: number[];
  readonly p99: number[];
}

function microseconds(run: () => unknown): number {
  const start = performance.now();
  run();
  return (performance.now() - start) * 1000;
}

function addFigures(figures: Figures, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  figures.p50.push(at(0.5));
  figures.p99.push(at(0.99));
}

/** @returns whether the wish could be met */
function requireSameAnswer(index: NetworkIndex, network: readonly NodeRecord[], wish: Wish): boolean {
  const placement = place(index, wish);
  const ids = placement?.rows.map((row) => index.columns.ids[row]) ?? null;
  const naiveIds = naivePlace(network, wish)?.ids ?? null;
  if (JSON.stringify(ids) !== JSON.stringify(naiveIds)) {
    throw new Error(`the index and the naive scan answer differently: ${JSON.stringify(wish)}`);
  }
  return placement !== null;
}

function measure(index: NetworkIndex, network: readonly NodeRecord[], wishes: readonly Wish[]) {
  const indexed: Figures = { p50: [], p99: [] };
  const naive: Figures = { p50: [], p99: [] };
  const explained: Figures = { p50: [], p99: [] };
  let met = 0;
  for (const wish of wishes) place(index, wish);
  for (let round = 0; round < ROUNDS; round++) {
    const mine = wishes.filter((_, at) => at % ROUNDS === round);
    addFigures(
      naive,
      mine.map((wish) => microseconds(() => naivePlace(network, wish))),
    );
    addFigures(
      indexed,
      wishes.map((wish) => microseconds(() => place(index, wish))),
    );
    const unmet = mine.filter((wish) => !requireSameAnswer(index, network, wish));
    met += mine.length - unmet.length;
    addFigures(
      explained,
      unmet.map((wish) => microseconds(() => explainUnmet({ index, feeBps: 500 }, wish))),
    );
  }
  return { indexed, naive, explained, met };
}

export async function benchQuoteSearch(): Promise<BenchRow[]> {
  const network = rentedOut([...seedNodes({ nodes: NODES, seed: SEED })], RENTED_SHARE, SEED);
  const index = new NetworkIndex();
  index.load(network);
  const memory = await networkMemory(NODES, SEED);
  const { indexed, naive, explained, met } = measure(index, network, randomWishes(network, WISHES, SEED));

  const print = (value: number) => (value < 100 ? value.toFixed(1) : value.toFixed(0));
  const times = (values: readonly number[]) => `${spread(values, print)} µs`;
  const ratio = (part: keyof Figures) => median(naive[part]) / median(indexed[part]);
  return [
    {
      subject: `quote search p50, ${NODES} nodes, ${WISHES} wishes (${met} met), answers equal`,
      ours: times(indexed.p50),
      peer: `naive scan ${times(naive.p50)}`,
      ratio: `${ratio("p50").toFixed(0)}×`,
      goal: "≤ 20 µs, ≥ 100×",
      met: median(indexed.p50) <= 20 && ratio("p50") >= 100,
    },
    {
      subject: "quote search p99",
      ours: times(indexed.p99),
      peer: `naive scan ${times(naive.p99)}`,
      ratio: `${ratio("p99").toFixed(0)}×`,
      goal: "≤ 200 µs",
      met: median(indexed.p99) <= 200,
    },
    {
      subject: "alternatives of a wish that can't be met, p50 and p99",
      ours: `${times(explained.p50)}, ${times(explained.p99)}`,
      peer: "",
      ratio: "",
      goal: "",
      met: true,
    },
    {
      subject: `memory of a process that holds the index of ${NODES} nodes`,
      ours: `${memory.rssMb.toFixed(0)} MB resident, ${memory.heapMb.toFixed(0)} MB heap and buffers`,
      peer: `empty process ${memory.emptyRssMb.toFixed(0)} MB resident`,
      ratio: "",
      goal: "≤ 250 MB resident, ≤ 100 MB heap",
      met: memory.rssMb <= 250 && memory.heapMb <= 100,
    },
  ];
}
