/**
 * How much of the network may wait to be paid. Without a bound, whoever never pays could keep everybody else from
 * renting: by one caller (decided in the database), and by all together (counted here, so that a reservation stays one
 * round trip). What other processes have let in is known a moment later.
 */
import { VolleyError } from "@volley/schema/errors";
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows } from "../db/database.ts";
import type { Market } from "../market/market.ts";
import type { Wish } from "../market/wish.ts";

/** In GPUs of the model; null for no limit. */
export interface HoldLimits {
  readonly perCaller: number | null;
  readonly all: number | null;
}

const READING_KEPT_MS = 1_000;

/** GPUs under unpaid reservations, by model. */
type Held = Map<string, number>;

interface Count {
  held: Held;
  atMs: number;
  /** Reservations that the database has not answered yet. */
  readonly claimed: Held;
  /** What has been reserved since each reading began that is still under way; it may have seen that or not. */
  readonly readings: Set<Held>;
}

const counts = new WeakMap<Market, Count>();

export async function holdLimits(ctx: Context, gpu: string): Promise<HoldLimits | null> {
  const { heldGpusPerCallerPercent, heldGpusPercent } = ctx.settings;
  if (heldGpusPerCallerPercent === 100 && heldGpusPercent === 100) return null;
  const total = (await ctx.market.network(ctx)).reachOf(gpu).gpusTotal;
  const share = (percent: number) => (percent === 100 ? null : Math.floor((total * percent) / 100));
  return { perCaller: share(heldGpusPerCallerPercent), all: share(heldGpusPercent) };
}

/**
 * Reserves if what waits to be paid of the model leaves room for it. Where nothing waits, one gang of any size may.
 * @throws {VolleyError} `holds_exceeded`
 */
export async function withinHolds<Answer extends { readonly outcome: string }>(
  ctx: Context,
  limits: HoldLimits | null,
  wish: Wish,
  claim: () => Promise<Answer>,
): Promise<Answer> {
  if (limits === null || limits.all === null) return claim();
  const count = await currentCount(ctx);
  const { gpu } = wish;
  const gpus = wish.nodes * wish.gpus_per_node;
  const before = (count.held.get(gpu) ?? 0) + (count.claimed.get(gpu) ?? 0);
  if (before > 0 && before + gpus > limits.all) {
    throw holdsExceeded(ctx, `Too many ${gpu} GPUs are in reservations that wait to be paid.`);
  }
  add(count.claimed, gpu, gpus);
  try {
    const answer = await claim();
    if (answer.outcome === "reserved") for (const held of [count.held, ...count.readings]) add(held, gpu, gpus);
    return answer;
  } finally {
    add(count.claimed, gpu, -gpus);
  }
}

export function holdsExceeded(ctx: Context, detail: string): VolleyError {
  return new VolleyError("holds_exceeded", detail, {
    nextAction: "Pay or tear down what you have reserved, or wait until unpaid reservations expire.",
    retryAfterSeconds: Math.min(60, ctx.settings.paymentLifetimeSeconds),
  });
}

function add(held: Held, gpu: string, gpus: number): void {
  held.set(gpu, (held.get(gpu) ?? 0) + gpus);
}

/** At the edge a request can't wait for what another one has begun, so each that finds the count too old reads it. */
async function currentCount(ctx: Context): Promise<Count> {
  const known = counts.get(ctx.market);
  const count = known ?? { held: new Map(), atMs: -Infinity, claimed: new Map(), readings: new Set() };
  if (known === undefined) counts.set(ctx.market, count);
  const nowMs = ctx.clock.nowMs();
  if (nowMs - count.atMs < READING_KEPT_MS) return count;
  const since: Held = new Map();
  count.readings.add(since);
  try {
    const waiting = await rows<{ gpu: string; gpus: number }>(
      ctx.db,
      sql`SELECT clusters.gpu, sum(leases.gpus)::integer AS gpus
          FROM clusters JOIN leases ON leases.cluster_id = clusters.id
          WHERE clusters.status = 'awaiting_payment' GROUP BY clusters.gpu`,
    );
    count.held = since;
    for (const { gpu, gpus } of waiting) add(count.held, gpu, gpus);
    count.atMs = nowMs;
  } finally {
    count.readings.delete(since);
  }
  return count;
}
