/** What is wrong now, as rows: raised when it is first seen, kept while it lasts, gone when it is right again. */
import { eq } from "drizzle-orm";
import type { Context, Services } from "../context.ts";
import { alarms } from "../db/tables.ts";

/** Those that hold back money that is to leave, because the books and the money disagree. */
const BLOCKING = ["chain_differs", "cards_differ", "ledger_rule_broken", "treasury_account_unusable"] as const;
/** Those that want somebody's eyes; what goes on, goes on. */
const OTHERS = [
  "capacity_rule_broken",
  "task_stuck",
  "outbound_overdue",
  "cluster_overdue",
  "receipt_missing",
] as const;
export type AlarmName = (typeof BLOCKING)[number] | (typeof OTHERS)[number];
/** The treasury's process raises one of its own, `held-alarm.ts`. */
const ALARMS = [...BLOCKING, ...OTHERS, "refunds_held"] as const;

const DETAIL_LENGTH_MAX = 2_000;

/** Raises the alarm or keeps it up, with what is wrong; or ends it, when `problem` is null. */
export async function setAlarm(ctx: Context, name: AlarmName, problem: string | null): Promise<void> {
  const nowMs = ctx.clock.nowMs();
  if (problem === null) {
    const ended = await ctx.db.delete(alarms).where(eq(alarms.name, name)).returning();
    for (const alarm of ended) ctx.logger.info("an alarm has ended", { alarm: name, raised_at: alarm.raisedAt });
    return;
  }
  const detail = problem.slice(0, DETAIL_LENGTH_MAX);
  const blocksOutbound = BLOCKING.some((blocking) => blocking === name);
  const [alarm] = await ctx.db
    .insert(alarms)
    .values({ name, detail, blocksOutbound, raisedAt: nowMs, seenAt: nowMs })
    .onConflictDoUpdate({ target: alarms.name, set: { detail, seenAt: nowMs } })
    .returning();
  ctx.metrics.count("volley_alarm_sightings_total", { alarm: name });
  ctx.logger.error(alarm?.raisedAt === nowMs ? "an alarm is raised" : "an alarm lasts", {
    alarm: name,
    detail,
    blocks_outbound: blocksOutbound,
  });
}

/** Any process may have found it, so each tells what the rows say when it is asked. */
export async function publishAlarms(services: Pick<Services, "db" | "metrics" | "logger">): Promise<void> {
  try {
    const raised = new Set((await services.db.select({ name: alarms.name }).from(alarms)).map(({ name }) => name));
    for (const name of ALARMS) services.metrics.gauge("volley_alarm", raised.has(name) ? 1 : 0, { alarm: name });
  } catch (error) {
    // The other figures are wanted most when the database is down.
    services.logger.warn("the alarms could not be read", { error });
  }
}
