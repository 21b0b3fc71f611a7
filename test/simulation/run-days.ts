/**
 * Days on end in one world, at the pace and with the delays of production: accounts come back to their money, banks
 * dispute after days, suppliers are paid daily, days of receipts are anchored, and the auditor looks on.
 */

import { Dice } from "./dice.ts";
import { STORM } from "./faults.ts";
import { beginOutages } from "./outages.ts";
import { checkPromptness } from "./promptness.ts";
import { drawCharacter, Renter } from "./renter.ts";
import { comeToRest, type SeedResult } from "./run-seed.ts";
import { unfinished } from "./settled.ts";
import type { Stage } from "./stage.ts";
import { World } from "./world.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const PROCESSES = 2;
/** Processes look for tasks as often as usual from so long before a renter comes. */
const AHEAD_MS = 2 * MINUTE_MS;
const CHECK_EVERY_MS = 10 * MINUTE_MS;
/** A refund to an address that nobody has proved waits for a day. */
const STUCK_MS = DAY_MS + 6 * HOUR_MS;
const DISPUTE_MS_MAX = 4 * DAY_MS;
/** Until the last dispute is decided, and what follows from it is done. */
const REST_MS_MAX = 2 * DISPUTE_MS_MAX + 2 * DAY_MS;
const IDLE_POLL_MS = MINUTE_MS;
const STEPS_PER_DAY_MAX = 200_000;

export interface DaysOptions {
  readonly stage: Stage;
  readonly days: number;
  readonly rentals: number;
  readonly onDay?: (day: number) => void;
}

export async function runDays(seed: string, { stage, days, rentals, onDay }: DaysOptions): Promise<SeedResult> {
  const world = await World.open({
    seed,
    stage,
    faults: STORM,
    processes: PROCESSES,
    fate: (random, count) => new Dice(random, STORM, count),
    settings: {
      refundDelaySeconds: DAY_MS / 1000,
      payoutIntervalSeconds: DAY_MS / 1000,
      auditIntervalSeconds: 600,
      marketRefreshMs: MINUTE_MS,
    },
    // Patient enough to outlast whatever is away.
    renterPollSeconds: { least: 60, most: 300 },
    withAgents: false,
    isAudited: true,
    idlePollMs: IDLE_POLL_MS,
    disputeMsMax: DISPUTE_MS_MAX,
    stepsMax: STEPS_PER_DAY_MAX * (days + REST_MS_MAX / DAY_MS),
  });
  const arrivals = world.random.stream("arrivals");
  for (let index = 0; index < rentals; index++) {
    const name = `renter${index}`;
    const renter = new Renter(name, world, drawCharacter(world.random.stream(`character of ${name}`)));
    renter.isAbout = false;
    world.renters.push(renter);
    const arrivesMs = arrivals.whole(AHEAD_MS, days * DAY_MS);
    world.timeline.after(arrivesMs - AHEAD_MS, () => {
      renter.isAbout = true;
    });
    world.timeline.after(arrivesMs, () => {
      renter.run().catch((error: unknown) => world.fail("a renter's program does not break", `${name}: ${error}`));
    });
  }
  const stuck = new StuckThings(world);
  let day = 0;
  const look = async () => {
    await world.checkNow();
    await checkPromptness(world);
    await stuck.look();
    const passed = Math.floor((world.timeline.nowMs - world.timeline.startMs) / DAY_MS);
    if (passed > day) onDay?.(passed);
    day = passed;
  };
  const endOutages = beginOutages(world, STORM);
  const endMs = world.timeline.nowMs + days * DAY_MS;
  await world.runUntil(
    async () => {
      await look();
      return world.timeline.nowMs >= endMs && world.renters.every(({ outcome }) => outcome !== "unfinished");
    },
    (days + 1) * DAY_MS,
    CHECK_EVERY_MS,
  );
  endOutages();
  const waiting = world.renters.filter(({ outcome }) => outcome === "unfinished").map(({ name }) => name);
  if (waiting.length > 0 && world.violations.length === 0) world.fail("every renter gets an end", waiting.join(", "));
  if (world.violations.length === 0) await comeToRest(world, look, CHECK_EVERY_MS, REST_MS_MAX);
  if (world.violations.length === 0) await checkQuiet(world, look);
  world.close();
  return {
    seed,
    violations: world.violations,
    outcomes: world.renters.map(({ outcome }) => outcome),
    injected: world.injected,
    logged: world.logged,
    virtualMs: world.timeline.nowMs - world.timeline.startMs,
    steps: world.timeline.steps,
    traceHash: world.timeline.traceHash,
    tail: world.timeline.tail,
  };
}

/** Whatever is unfinished for longer than anything may take has an alarm. */
class StuckThings {
  readonly #world: World;
  readonly #sinceMs = new Map<string, number>();
  readonly #alarms = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  async look(): Promise<void> {
    const world = this.#world;
    if (world.database.isBusy) return;
    const { nowMs } = world.timeline;
    const items = new Set(await unfinished(world));
    for (const item of this.#sinceMs.keys()) if (!items.has(item)) this.#sinceMs.delete(item);
    const alarms = await alarmsOf(world);
    for (const item of items) {
      const sinceMs = this.#sinceMs.get(item) ?? nowMs;
      this.#sinceMs.set(item, sinceMs);
      // A bank takes its time, and the refund delay is known.
      if (nowMs - sinceMs > STUCK_MS && alarms.length === 0 && !item.startsWith("dispute")) {
        world.fail("nothing is stuck without an alarm", item);
      }
    }
    for (const alarm of alarms) {
      if (!this.#alarms.has(alarm)) {
        world.count(`alarm ${alarm}`);
        world.timeline.note(`alarm ${alarm}`);
      }
    }
    this.#alarms.clear();
    for (const alarm of alarms) this.#alarms.add(alarm);
  }
}

async function alarmsOf(world: World): Promise<string[]> {
  const found = await world.database.direct<{ name: string }[]>`SELECT name FROM alarms ORDER BY name`;
  return found.map(({ name }) => name);
}

/** All alarms have ended by themselves, each ended cluster has its receipt, and each day of receipts its anchor. */
async function checkQuiet(world: World, look: () => Promise<void>): Promise<void> {
  let left: string[] = [];
  const isQuiet = async () => {
    await look();
    const found = await world.database.direct<{ item: string }[]>`
      SELECT 'alarm ' || name || ': ' || detail AS item FROM alarms WHERE name <> 'refunds_held'
      UNION ALL SELECT 'cluster ' || id || ' has no receipt' FROM clusters
        WHERE NOT EXISTS (SELECT 1 FROM receipts WHERE cluster_id = clusters.id)
      UNION ALL SELECT DISTINCT 'receipts of ' || day || ' have no anchor' FROM receipts
        WHERE NOT EXISTS (SELECT 1 FROM receipt_anchors AS a WHERE a.day = receipts.day AND a.status = 'finalized')`;
    left = found.map(({ item }) => item);
    return left.length === 0;
  };
  if (!(await world.runUntil(isQuiet, 2 * DAY_MS, CHECK_EVERY_MS)) && world.violations.length === 0) {
    world.fail("when all is well nothing is alarming, and every receipt is anchored", left.slice(0, 10).join("; "));
  }
}
