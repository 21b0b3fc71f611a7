import { asc, eq } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { alarms } from "../db/tables.ts";

/**
 * Why no money may leave now, in a sentence; null when it may. Asked right before something is signed, so that what
 * an audit finds stops refunds and payouts at once. Rentals and incoming money never ask.
 */
export async function outboundBlocked(executor: Executor): Promise<string | null> {
  const [alarm] = await executor
    .select()
    .from(alarms)
    .where(eq(alarms.blocksOutbound, true))
    .orderBy(asc(alarms.raisedAt), asc(alarms.name))
    .limit(1);
  return alarm === undefined ? null : `The alarm "${alarm.name}" is raised: ${alarm.detail}`;
}
