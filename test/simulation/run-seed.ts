/** One seed, from an empty database to complete rest. */
import type { Cluster } from "@volley/schema/resources/cluster";
import type { Violation } from "./always.ts";
import { Dice } from "./dice.ts";
import { type Faults, STORM } from "./faults.ts";
import { drawCharacter, Renter } from "./renter.ts";
import { checkSettled, unfinished } from "./settled.ts";
import type { Stage } from "./stage.ts";
import { World } from "./world.ts";

const PROCESSES = 2;
/** Late enough for every node to have seen the renters' wallets. */
const ARRIVALS_MS = { least: 20_000, most: 80_000 };
const STORM_MS_MAX = 45 * 60_000;
/** A card's page that nobody came back to is open for an hour. */
const REST_MS_MAX = 120 * 60_000;
/** Between two looks at what must always hold, while everything runs. */
const CHECK_EVERY_MS = 12_000;

export interface SeedOptions {
  readonly stage: Stage;
  readonly rentals: number;
  readonly faults?: Faults;
  /** Breaks something on purpose, to see that it is seen. Called with each look. */
  readonly sabotage?: (world: World) => void | Promise<void>;
}

export interface SeedResult {
  readonly seed: string;
  readonly violations: readonly Violation[];
  readonly outcomes: readonly string[];
  readonly injected: ReadonlyMap<string, number>;
  readonly logged: ReadonlyMap<string, number>;
  readonly virtualMs: number;
  readonly steps: number;
  readonly traceHash: string;
  readonly tail: readonly string[];
}

export async function runSeed(seed: string, options: SeedOptions): Promise<SeedResult> {
  const world = await World.open({
    seed,
    stage: options.stage,
    faults: options.faults ?? STORM,
    processes: PROCESSES,
    fate: (random, count) => new Dice(random, options.faults ?? STORM, count),
  });
  const arrivals = world.random.stream("arrivals");
  for (let index = 0; index < options.rentals; index++) {
    const name = `renter${index}`;
    const renter = new Renter(name, world, drawCharacter(world.random.stream(`character of ${name}`)));
    world.renters.push(renter);
    world.timeline.after(arrivals.whole(ARRIVALS_MS.least, ARRIVALS_MS.most), () => {
      renter.run().catch((error: unknown) => world.fail("a renter's program does not break", `${name}: ${error}`));
    });
  }
  const look = async () => {
    await options.sabotage?.(world);
    await world.checkNow();
  };
  const allDone = () => world.renters.every((renter) => renter.outcome !== "unfinished");
  const ended = await world.runUntil(
    async () => {
      await look();
      return allDone();
    },
    STORM_MS_MAX,
    CHECK_EVERY_MS,
  );
  if (!ended && world.violations.length === 0) {
    const waiting = world.renters.filter((renter) => renter.outcome === "unfinished").map((renter) => renter.name);
    world.fail("every renter gets an end", waiting.join(", "));
  }
  if (world.violations.length === 0) await comeToRest(world, look);
  world.close();
  return {
    seed,
    violations: world.violations,
    outcomes: world.renters.map((renter) => renter.outcome),
    injected: world.injected,
    logged: world.logged,
    virtualMs: world.timeline.nowMs - world.timeline.startMs,
    steps: world.timeline.steps,
    traceHash: world.timeline.traceHash,
    tail: world.timeline.tail,
  };
}

/** Nothing goes wrong any more: all that has begun must end by itself, and then everything must add up. */
export async function comeToRest(
  world: World,
  look: () => Promise<void>,
  everyMs = CHECK_EVERY_MS,
  limitMs = REST_MS_MAX,
): Promise<void> {
  world.calm();
  let left: string[] = [];
  const rested = await world.runUntil(
    async () => {
      await look();
      left = await unfinished(world);
      return left.length === 0;
    },
    limitMs,
    everyMs,
  );
  if (world.violations.length > 0) return;
  if (!rested) return world.fail("everything comes to an end", left.slice(0, 10).join("; "));
  const views = new Map<Renter, Cluster>();
  const looking = world.renters.filter((renter) => renter.cluster !== null);
  for (const renter of looking) {
    renter.look().then(
      (cluster) => views.set(renter, cluster),
      (error: unknown) => world.fail("the API answers when all is calm", String(error)),
    );
  }
  // The checks read over the connection that the processes use, so nothing moves while they run.
  if (await world.runUntil(() => views.size === looking.length, REST_MS_MAX, 0)) await checkSettled(world, views);
}
