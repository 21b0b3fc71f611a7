/** What has its time: once that is long over, there is an alarm. */
import type { World } from "./world.ts";

/** Longer than any of these lasts by itself, and than the auditor takes to look again when it was itself struck. */
const OVERDUE_MS = 75 * 60_000;

/** Each statement gives one text per item. */
const overdue = (beforeMs: number) => `
  SELECT 'refund ' || id || ' is ' || status FROM refunds
    WHERE status NOT IN ('finalized', 'cancelled') AND greatest(created_at, not_before) < ${beforeMs}
  UNION ALL SELECT 'cluster ' || clusters.id || ' is ' || clusters.status FROM clusters
    JOIN payments ON payments.cluster_id = clusters.id AND purpose = 'reserve'
    WHERE (clusters.status = 'awaiting_payment' AND payments.expires_at < ${beforeMs})
      OR (clusters.status = 'provisioning' AND paid_at < ${beforeMs})
      OR (clusters.status = 'running' AND ends_at < ${beforeMs})
      OR (clusters.status = 'stopping' AND greatest(metered_until, ends_at) < ${beforeMs})
  UNION ALL SELECT 'transfer ' || signature || ' is not final' FROM inbound_transfers
    WHERE finality = 'confirmed' AND created_at < ${beforeMs}
  UNION ALL SELECT 'cluster ' || clusters.id || ' has no receipt' FROM clusters
    WHERE status IN ('stopped', 'expired', 'failed') AND greatest(metered_until, stopped_at) < ${beforeMs}
      AND NOT EXISTS (SELECT 1 FROM receipts WHERE cluster_id = clusters.id)`;

export async function checkPromptness(world: World): Promise<void> {
  if (world.database.isBusy) return;
  const found = await world.database.direct.unsafe<{ item: string }[]>(
    `SELECT item FROM (${overdue(Math.round(world.timeline.nowMs - OVERDUE_MS))}) AS found(item)
     WHERE NOT EXISTS (SELECT 1 FROM alarms)`,
  );
  for (const { item } of found) world.fail("what is overdue has an alarm", item);
}
