/** What should long have come to an end by itself: nothing stays stuck without somebody being told. */
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type AuditResult, checkNone } from "./audit-result.ts";

/** From the first failure to the eighth the engine's pauses add up to a minute. */
const ATTEMPTS_MAX = 8;
const MINUTE_MS = 60_000;
/** A task that is due and that nobody takes: no process of its kind is running. */
const UNTAKEN_MS = 10 * MINUTE_MS;
/** A refund lands within a minute; the treasury's limits per day may hold one for longer. */
const OUTBOUND_MS = 30 * MINUTE_MS;
/** Beyond what each state allows by itself. */
const STATE_GRACE_MS = 10 * MINUTE_MS;
/** After the interval of payouts: one that came back is not tried again for a day. */
const RETURNED_GRACE_MS = 2 * 1440 * MINUTE_MS;
const SPONSORED_MS = 10 * MINUTE_MS;
/** Lands like a refund; limits and other alarms may hold it for longer. */
const ANCHOR_MS = 120 * MINUTE_MS;

export interface Overdue {
  readonly taskStuck: AuditResult;
  readonly outboundOverdue: AuditResult;
  readonly clusterOverdue: AuditResult;
  readonly receiptMissing: AuditResult;
}

export async function auditOverdue(ctx: Pick<Context, "db" | "clock" | "settings">): Promise<Overdue> {
  const nowMs = ctx.clock.nowMs();
  const before = (ms: number) => sql`${Math.round(nowMs - ms)}::bigint`;
  const taskStuck = await checkNone(
    ctx.db,
    "no task keeps failing, and none waits for somebody to do it",
    sql`SELECT kind || ' ' || id || ': ' || attempts || ' failures, ' || coalesce(last_error, 'never taken') FROM tasks
        WHERE attempts >= ${ATTEMPTS_MAX}
          OR (due_at < ${before(UNTAKEN_MS)} AND (lock_expires_at IS NULL OR lock_expires_at < ${before(UNTAKEN_MS)}))`,
  );
  const outboundOverdue = await checkNone(
    ctx.db,
    "what is to leave has left",
    sql`SELECT kind || ' ' || id || ' (' || status || '): ' || coalesce(reason, 'has not landed') FROM refunds
        WHERE status NOT IN ('finalized', 'cancelled') AND greatest(created_at, not_before) < ${before(OUTBOUND_MS)}
        UNION ALL
        SELECT 'earnings of ' || r.supplier_id || ': ' || coalesce(r.reason, 'the payout was cancelled') FROM refunds AS r
        JOIN suppliers AS s ON s.id = r.supplier_id AND s.payout_address = r.to_address
        WHERE r.status = 'cancelled' AND r.created_at > ${before(ctx.settings.payoutIntervalSeconds * 1000 + RETURNED_GRACE_MS)} AND NOT EXISTS
          (SELECT 1 FROM refunds AS later WHERE later.supplier_id = r.supplier_id AND later.created_at > r.created_at)
        UNION ALL
        SELECT 'sponsored transaction ' || id FROM sponsored_transactions
        WHERE status = 'requested' AND created_at < ${before(SPONSORED_MS)}
        UNION ALL
        SELECT 'anchor of ' || day || ' (' || status || ')' FROM receipt_anchors
        WHERE status <> 'finalized' AND created_at < ${before(ANCHOR_MS)}`,
  );
  const clusterOverdue = await checkNone(
    ctx.db,
    "no cluster, no payment and no incoming transfer stays in a state that has a limit",
    sql`SELECT c.id || ' (' || c.status || ')' FROM clusters AS c
        LEFT JOIN payments AS p ON p.cluster_id = c.id AND p.purpose = 'reserve'
        WHERE (c.status = 'awaiting_payment' AND p.expires_at < ${before(STATE_GRACE_MS)})
          OR (c.status = 'provisioning' AND c.paid_at
              < ${before(ctx.settings.provisioningTimeoutSeconds * 1000 + STATE_GRACE_MS)})
          OR (c.status = 'running' AND c.ends_at < ${before(STATE_GRACE_MS)})
          OR (c.status = 'stopping' AND greatest(c.metered_until, coalesce(c.ends_at, 0)) < ${before(STATE_GRACE_MS)})
        UNION ALL
        SELECT id || ' (' || status || ')' FROM payments
        WHERE status IN ('pending', 'detected') AND expires_at < ${before(STATE_GRACE_MS)}
          AND received_micro_usdc < amount_micro_usdc AND cluster_id IS NOT NULL
        UNION ALL
        SELECT 'transfer ' || signature || ':' || transfer_index || ' (neither final nor gone)' FROM inbound_transfers
        WHERE finality = 'confirmed' AND created_at < ${before(STATE_GRACE_MS)}`,
  );
  const receiptMissing = await checkNone(
    ctx.db,
    "every ended cluster has a receipt",
    // Those that ended before receipts were switched on get theirs when their chain goes on.
    ctx.settings.receiptKeys.length === 0
      ? sql`SELECT id FROM clusters WHERE false`
      : sql`SELECT id FROM tasks WHERE kind = 'receipts' AND due_at < ${before(STATE_GRACE_MS)}
            UNION ALL SELECT id FROM tasks WHERE kind = 'receipts' AND attempts >= ${ATTEMPTS_MAX}`,
  );
  return { taskStuck, outboundOverdue, clusterOverdue, receiptMissing };
}
