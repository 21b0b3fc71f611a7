/**
 * What must hold at every moment between two transactions, asked of the database in one statement. Each rule lists what
 * breaks it; a rule that lists nothing holds. Written apart from the audit that Volley itself runs, on purpose.
 */
import type postgres from "postgres";

export interface Violation {
  readonly rule: string;
  readonly detail: string;
}

/** Each statement gives one text per breach. */
const RULES: Readonly<Record<string, string>> = {
  "every account's balance is the sum of its transfers": `
    WITH moved AS (
      SELECT account, sum(credit) AS credits, sum(debit) AS debits FROM (
        SELECT credit_account AS account, amount_micro_usdc AS credit, 0 AS debit FROM transfers
        WHERE kind IN ('posted', 'post')
        UNION ALL
        SELECT debit_account, 0, amount_micro_usdc FROM transfers WHERE kind IN ('posted', 'post')
      ) AS sides GROUP BY account
    ), held AS (
      SELECT debit_account AS account, sum(amount_micro_usdc) AS amount FROM transfers AS funding
      WHERE kind = 'fund' AND NOT EXISTS (
        SELECT 1 FROM transfers WHERE pending_id = funding.pending_id AND kind IN ('post', 'void'))
      GROUP BY debit_account
    )
    SELECT id || ' has ' || credits_posted || ' - ' || debits_posted || ', held ' || debits_pending
    FROM accounts LEFT JOIN moved ON moved.account = id LEFT JOIN held ON held.account = id
    WHERE kind NOT IN ('chain', 'card', 'revenue', 'unallocated', 'loss') AND (
      credits_posted <> coalesce(credits, 0) OR debits_posted <> coalesce(debits, 0)
      OR debits_pending <> coalesce(amount, 0))`,
  "all money sums to zero": `
    SELECT 'sum ' || sum(balance) FROM (
      SELECT CASE WHEN kind IN ('chain', 'card', 'revenue', 'unallocated', 'loss') THEN (
          SELECT coalesce(sum(CASE WHEN credit_account = accounts.id THEN amount_micro_usdc
                                   ELSE -amount_micro_usdc END), 0)
          FROM transfers WHERE transfers.kind IN ('posted', 'post') AND accounts.id IN (credit_account, debit_account)
        ) ELSE credits_posted - debits_posted END AS balance
      FROM accounts) AS balances
    HAVING sum(balance) <> 0`,
  "no customer, escrow, refund or supplier account is below zero": `
    SELECT id FROM accounts
    WHERE kind IN ('customer', 'escrow', 'refund', 'supplier') AND (NOT limited OR credits_posted - debits_posted - debits_pending < 0)`,
  "a hold is resolved within its amount and accounts": `
    SELECT part.id FROM transfers AS part JOIN transfers AS hold ON hold.id = part.pending_id
    WHERE hold.kind <> 'pending' OR part.amount_micro_usdc > hold.amount_micro_usdc
      OR part.debit_account <> hold.debit_account OR part.credit_account <> hold.credit_account`,
  "free capacity is what no lease has": `
    SELECT nodes.id || ' has ' || gpus_free || ' free' FROM nodes
    LEFT JOIN (SELECT node_id, count(*) AS taken FROM lease_slots GROUP BY node_id) AS slots ON slots.node_id = nodes.id
    LEFT JOIN (SELECT node_id, sum(gpus) AS leased FROM leases WHERE released_at IS NULL GROUP BY node_id) AS live
      ON live.node_id = nodes.id
    WHERE gpus_free <> gpus_total - coalesce(taken, 0) OR gpus_free <> gpus_total - coalesce(leased, 0)`,
  "a live lease has exactly its slots, a released one none": `
    SELECT leases.id FROM leases
    LEFT JOIN (SELECT lease_id, array_agg(slot ORDER BY slot) AS taken FROM lease_slots GROUP BY lease_id) AS slots
      ON slots.lease_id = leases.id
    WHERE coalesce(taken, '{}') <> CASE WHEN released_at IS NULL
      THEN ARRAY(SELECT unnest(leases.slots) ORDER BY 1) ELSE '{}' END
      OR cardinality(leases.slots) <> gpus`,
  "a lease that may run has an end, and its machine is not given away": `
    SELECT id FROM leases WHERE desired = 'running' AND (ends_at IS NULL OR released_at IS NOT NULL)`,
  "a machine is given back only when it never ran or was seen absent": `
    SELECT id || ' was given back while ' || observed FROM leases
    WHERE released_at IS NOT NULL AND observed NOT IN ('none', 'absent')`,
  "a running cluster has all its leases and an end": `
    SELECT clusters.id FROM clusters WHERE status = 'running' AND (
      ready_at IS NULL OR ends_at IS NULL OR ends_at <= ready_at OR
      EXISTS (SELECT 1 FROM leases WHERE cluster_id = clusters.id AND desired <> 'running'))`,
  "an ended cluster wants nothing to run, and has its bill": `
    SELECT id || ' is ' || status FROM clusters
    WHERE status IN ('stopping', 'stopped', 'expired', 'failed') AND (
      bill IS NULL OR metered_until IS NULL OR
      EXISTS (SELECT 1 FROM leases WHERE cluster_id = clusters.id AND desired = 'running') OR
      EXISTS (SELECT 1 FROM transfers AS hold WHERE hold.kind = 'pending'
        AND hold.credit_account = 'escrow:' || clusters.id AND NOT EXISTS (
          SELECT 1 FROM transfers WHERE pending_id = hold.id AND kind IN ('post', 'void'))))`,
  "a stopped cluster has given every machine back, or its machines have ended by themselves": `
    SELECT clusters.id FROM clusters JOIN leases ON leases.cluster_id = clusters.id
    WHERE status IN ('stopped', 'expired') AND released_at IS NULL
      AND (leases.ends_at IS NULL OR stopped_at <= leases.ends_at)`,
  "what a payment has received is what arrived for it": `
    SELECT payments.id || ' says ' || received_micro_usdc FROM payments
    LEFT JOIN (SELECT payment_id, sum(amount_micro_usdc) AS arrived FROM inbound_transfers
               WHERE finality <> 'dropped' GROUP BY payment_id) AS inbound ON inbound.payment_id = payments.id
    WHERE rail NOT IN ('balance', 'stripe') AND received_micro_usdc <> coalesce(arrived, 0)`,
  "a settled payment's hold was funded": `
    SELECT id FROM payments WHERE status = 'settled' AND purpose <> 'topup' AND NOT EXISTS (
      SELECT 1 FROM transfers WHERE pending_id = hold_transfer_id AND kind = 'fund')`,
  "a paid cluster was paid in full": `
    SELECT id FROM clusters WHERE status IN ('provisioning', 'running') AND NOT EXISTS (
      SELECT 1 FROM payments WHERE cluster_id = clusters.id AND purpose = 'reserve' AND status = 'settled')`,
  "whatever is not finished will be looked at": `
    SELECT kind || ' ' || id || ' has no task' FROM (
      SELECT 'cluster' AS kind, id FROM clusters WHERE status IN ('awaiting_payment', 'provisioning', 'running', 'stopping')
      UNION SELECT 'cluster', cluster_id FROM leases WHERE desired = 'stopped' AND released_at IS NULL
      UNION ALL SELECT CASE WHEN rail = 'stripe' THEN 'card' ELSE 'payment' END, id FROM payments
        WHERE status IN ('pending', 'detected')
      UNION ALL SELECT 'refund', id FROM refunds WHERE status NOT IN ('finalized', 'cancelled')
    ) AS unfinished WHERE NOT EXISTS (
      SELECT 1 FROM tasks WHERE tasks.kind = unfinished.kind AND tasks.id = unfinished.id)`,
  "events are numbered without gaps, and none is told twice": `
    SELECT clusters.id || ' has ' || count(events.id) || ' of ' || event_sequence FROM clusters
    LEFT JOIN events ON events.cluster_id = clusters.id
    GROUP BY clusters.id HAVING count(events.id) <> event_sequence OR max(sequence) <> event_sequence
      OR count(*) FILTER (WHERE type IN ('cluster.expired', 'cluster.failed', 'cluster.stopping')) > 1
      OR count(*) FILTER (WHERE type = 'cluster.paid') > 1 OR count(*) FILTER (WHERE type = 'cluster.running') > 1`,
};

const STATEMENT = Object.entries(RULES)
  .map(
    ([rule, breaches]) => `SELECT '${rule.replaceAll("'", "''")}' AS rule, breach FROM (${breaches}) AS found(breach)`,
  )
  .join("\nUNION ALL\n");

/** @param database must not have a transaction open that others wait for */
export async function checkAlways(database: postgres.Sql): Promise<Violation[]> {
  const found = await database.unsafe<{ rule: string; breach: string | null }[]>(STATEMENT, [], { prepare: true });
  return found.map(({ rule, breach }) => ({ rule, detail: breach ?? "" }));
}
