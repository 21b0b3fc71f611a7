/** What must be true of the money at every moment, computed from the rows and not from what keeps it true. */
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type AuditResult, checkNone } from "./audit-result.ts";

/** Every account's sums as the transfers alone give them. */
const RECOUNTED = sql`
  SELECT a.id, a.kind, a.limited, a.debits_posted, a.credits_posted, a.debits_pending,
    coalesce(debit.posted, 0) AS true_debits, coalesce(credit.posted, 0) AS true_credits,
    coalesce(bound.pending, 0) AS true_pending
  FROM accounts AS a
  LEFT JOIN (SELECT debit_account AS id, sum(amount_micro_usdc) AS posted FROM transfers
             WHERE kind IN ('posted', 'post') GROUP BY 1) AS debit USING (id)
  LEFT JOIN (SELECT credit_account AS id, sum(amount_micro_usdc) AS posted FROM transfers
             WHERE kind IN ('posted', 'post') GROUP BY 1) AS credit USING (id)
  LEFT JOIN (SELECT f.debit_account AS id, sum(f.amount_micro_usdc) AS pending FROM transfers AS f
             WHERE f.kind = 'fund' AND NOT EXISTS (
               SELECT 1 FROM transfers AS r WHERE r.pending_id = f.pending_id AND r.kind IN ('post', 'void'))
             GROUP BY 1) AS bound USING (id)`;

/** What the ledger says of each landing of a transfer: posted in, less what was taken back. */
const LANDED = sql`
  SELECT split_part(reference, ':', 1) AS signature, split_part(reference, ':', 2)::int AS transfer_index,
    sum(CASE reason WHEN 'inbound' THEN amount_micro_usdc ELSE -amount_micro_usdc END) AS amount,
    max(credit_account) FILTER (WHERE reason = 'inbound') AS account
  FROM transfers WHERE reason IN ('inbound', 'inbound_dropped') GROUP BY 1, 2`;

export async function auditLedger(ctx: Pick<Context, "db">): Promise<AuditResult[]> {
  // One snapshot, so that a transfer that is written meanwhile is in all sums or in none.
  return ctx.db.transaction(
    async (tx) => {
      // A recount of everything may take longer than a request is allowed to.
      await tx.execute(sql`SET LOCAL statement_timeout = '300s'`);
      const results: AuditResult[] = [];
      for (const [name, offenders] of RULES) results.push(await checkNone(tx, name, offenders));
      return results;
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

const RULES = [
  [
    "I1 balances add up to zero",
    sql`SELECT 'all balances add up to ' || sum(balance) FROM (
          SELECT CASE WHEN ledger_is_summed(kind) THEN true_credits - true_debits
                      ELSE credits_posted - debits_posted END AS balance
          FROM (${RECOUNTED}) AS r) AS b HAVING sum(balance) <> 0`,
  ],
  [
    "I1 every second phase fits its hold",
    sql`SELECT t.id || ' (' || t.kind || ' of ' || t.pending_id || ')' FROM transfers AS t
        LEFT JOIN transfers AS h ON h.id = t.pending_id AND h.kind = 'pending'
        WHERE t.kind IN ('fund', 'post', 'void') AND (
          h.id IS NULL OR h.debit_account <> t.debit_account OR h.credit_account <> t.credit_account
          OR t.amount_micro_usdc > h.amount_micro_usdc
          OR (t.kind IN ('fund', 'void') AND t.amount_micro_usdc <> h.amount_micro_usdc)
          OR (t.kind = 'post' AND NOT EXISTS (
            SELECT 1 FROM transfers AS f WHERE f.pending_id = h.id AND f.kind = 'fund')))
        UNION ALL
        SELECT pending_id || ' has ' || count(*) || ' second phases of one kind' FROM transfers
        WHERE pending_id IS NOT NULL GROUP BY pending_id, kind = 'fund' HAVING count(*) > 1`,
  ],
  [
    "I2 kept balances equal the sum of their transfers",
    sql`SELECT id || ': posted ' || (credits_posted - debits_posted) || ' but transfers say '
               || (true_credits - true_debits) || ', held ' || debits_pending || ' but holds say ' || true_pending
        FROM (${RECOUNTED}) AS r
        WHERE NOT ledger_is_summed(kind)
          AND (debits_posted <> true_debits OR credits_posted <> true_credits OR debits_pending <> true_pending)`,
  ],
  [
    "I3 no limited account is below zero",
    sql`SELECT id || ': ' || (true_credits - true_debits - true_pending) FROM (${RECOUNTED}) AS r
        WHERE (limited OR kind IN ('customer', 'escrow', 'refund', 'dispute', 'supplier')) AND true_credits - true_debits - true_pending < 0`,
  ],
  [
    "I5 every inbound transfer is in the ledger once, for whom it was meant",
    sql`SELECT coalesce(i.signature, l.signature) || ':' || coalesce(i.transfer_index, l.transfer_index)
               || ': row ' || coalesce(i.amount_micro_usdc::text, 'missing') || ', ledger '
               || coalesce(l.amount::text, 'missing') || ' to ' || coalesce(l.account, 'nobody')
        FROM inbound_transfers AS i
        FULL JOIN (${LANDED}) AS l ON l.signature = i.signature AND l.transfer_index = i.transfer_index
        LEFT JOIN payments AS p ON p.id = i.payment_id
        WHERE i.signature IS NULL
          OR coalesce(l.amount, 0) <> CASE i.finality WHEN 'dropped' THEN 0 ELSE i.amount_micro_usdc END
          OR l.account IS DISTINCT FROM coalesce('customer:' || coalesce(p.cluster_id, p.id), 'unallocated:usdc')`,
  ],
  [
    "I5 every payment has received the sum of its transfers",
    sql`SELECT p.id || ': received ' || p.received_micro_usdc || ' but transfers say ' || coalesce(s.amount, 0)
        FROM payments AS p
        LEFT JOIN (SELECT payment_id, sum(amount_micro_usdc) AS amount FROM inbound_transfers
                   WHERE finality <> 'dropped' GROUP BY 1) AS s ON s.payment_id = p.id
        WHERE p.rail IN ('solana_pay', 'x402') AND p.received_micro_usdc <> coalesce(s.amount, 0)`,
  ],
  [
    "I7 the card processor owes what its payments say",
    sql`SELECT 'the ledger says ' || l.owed || ', the payments ' || c.owed FROM
          (SELECT coalesce(sum(true_debits - true_credits), 0) AS owed FROM (${RECOUNTED}) AS r WHERE kind = 'card') AS l,
          (SELECT coalesce(sum(p.amount_micro_usdc - c.reversed_micro_usdc), 0) AS owed FROM card_payments AS c
           JOIN payments AS p ON p.id = c.payment_id WHERE c.status = 'paid') AS c
        WHERE l.owed <> c.owed`,
  ],
  [
    "I6 escrow is empty",
    sql`SELECT id || ': ' || (true_credits - true_debits) FROM (${RECOUNTED}) AS r
        WHERE kind = 'escrow' AND true_credits <> true_debits`,
  ],
  [
    "I6 a refund holds its amount until it is final, and nothing after",
    sql`SELECT coalesce(f.id, r.id) || ': ' || coalesce(f.status, 'no refund') || ', holds '
               || coalesce(r.true_credits - r.true_debits, 0)
        FROM refunds AS f
        FULL JOIN (SELECT * FROM (${RECOUNTED}) AS a WHERE kind = 'refund') AS r ON r.id = 'refund:' || f.id
        WHERE coalesce(r.true_credits - r.true_debits, 0)
          <> CASE WHEN f.id IS NULL OR f.status IN ('finalized', 'cancelled') THEN 0 ELSE f.amount_micro_usdc END`,
  ],
  [
    "I6 a payment's hold is where the payment is",
    sql`SELECT p.id || ': ' || p.status || ', hold '
               || CASE WHEN r.kind IS NOT NULL THEN r.kind WHEN f.id IS NOT NULL THEN 'funded' ELSE 'unfunded' END
        FROM payments AS p
        LEFT JOIN transfers AS f ON f.pending_id = p.hold_transfer_id AND f.kind = 'fund'
        LEFT JOIN transfers AS r ON r.pending_id = p.hold_transfer_id AND r.kind IN ('post', 'void')
        WHERE p.purpose <> 'topup' AND ((p.status IN ('pending', 'detected') AND (f.id IS NOT NULL OR r.id IS NOT NULL))
          OR (p.status = 'settled' AND f.id IS NULL)
          OR (p.status = 'expired' AND r.kind IS DISTINCT FROM 'void'))`,
  ],
  [
    "I6 an ended cluster has a bill and no open hold",
    sql`SELECT c.id || ' (' || c.status || '): ' || CASE WHEN c.bill IS NULL THEN 'no bill' ELSE 'open hold' END
        FROM clusters AS c
        WHERE c.status IN ('stopping', 'stopped', 'expired', 'failed') AND (c.bill IS NULL OR EXISTS (
          SELECT 1 FROM transfers AS h WHERE h.kind = 'pending' AND h.credit_account = 'escrow:' || c.id
            AND NOT EXISTS (SELECT 1 FROM transfers AS r WHERE r.pending_id = h.id AND r.kind IN ('post', 'void'))))`,
  ],
  [
    "I6 what an ended cluster was charged is what its bill says",
    sql`SELECT c.id || ': bill ' || (c.bill->'charged'->>'amount') || ', ledger ' || coalesce(s.amount, 0)
        FROM clusters AS c
        LEFT JOIN (SELECT credit_account, sum(amount_micro_usdc) AS amount FROM transfers
                   WHERE kind = 'post' GROUP BY 1) AS s ON s.credit_account = 'escrow:' || c.id
        WHERE c.bill IS NOT NULL
          AND (c.bill->'charged'->>'amount')::numeric * 1000000 <> coalesce(s.amount, 0)`,
  ],
] as const;
