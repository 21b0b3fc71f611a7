/** The rules that keep money and machines apart, each of them taken away. */
import type { Mutant } from "./mutant.ts";

const dropConstraint = (table: string, name: string) => `ALTER TABLE ${table} DROP CONSTRAINT ${name} CASCADE`;

export const MUTANTS: readonly Mutant[] = [
  {
    without: "CHECK: no customer, escrow or supplier below zero",
    sql: [dropConstraint("accounts", "accounts_not_negative")],
    tests: ["test/ledger/ledger.test.ts", "test/payments/balance-rail.test.ts"],
  },
  {
    without: "unique key: money moves once per cause",
    sql: ["DROP INDEX transfers_once"],
    functions: [
      { in: "ledger_post", from: "ON CONFLICT (reason, reference, debit_account, credit_account) DO NOTHING", to: "" },
    ],
    tests: ["test/db/tables.test.ts", "test/ledger/ledger.test.ts"],
  },
  {
    without: "lock and unique key: a hold is resolved once",
    sql: ["DROP INDEX transfers_resolved_once"],
    functions: [{ in: "ledger_pending", from: "AND kind = 'pending' FOR UPDATE", to: "AND kind = 'pending'" }],
    tests: ["test/ledger/ledger.test.ts"],
  },
  {
    without: "primary key: a transfer on chain is one row",
    sql: [dropConstraint("inbound_transfers", "inbound_transfers_signature_transfer_index_pk")],
    tests: ["test/payments/failure-table.test.ts", "test/payments/races.test.ts"],
  },
  {
    without: "primary key: an x402 payment is claimed once",
    sql: [dropConstraint("sponsored_transactions", "sponsored_transactions_pkey")],
    functions: [{ in: "reserve_cluster", from: "now_ms)\n    ON CONFLICT (id) DO NOTHING;", to: "now_ms);" }],
    tests: ["test/x402/reserve.attack.test.ts"],
  },
  {
    without: "unique key: a quote is used once",
    sql: [dropConstraint("clusters", "clusters_quote_id_unique")],
    functions: [{ in: "reserve_cluster", from: "ON CONFLICT (quote_id) DO NOTHING", to: "" }],
    tests: ["test/clusters/reserve.test.ts", "test/clusters/races.test.ts"],
  },
  {
    without: "CHECK and condition: a machine has no more GPUs than it has",
    sql: [dropConstraint("nodes", "nodes_capacity"), dropConstraint("lease_slots", "lease_slots_node_id_slot_pk")],
    functions: [
      {
        in: "reserve_cluster",
        from: "WHERE id = claim.node_id AND gpus_free >= claim.gpus",
        to: "WHERE id = claim.node_id",
      },
    ],
    tests: ["test/clusters/races.test.ts"],
  },
  {
    without: "unique key: a request is done once per Idempotency-Key",
    sql: [dropConstraint("idempotency_keys", "idempotency_keys_scope_key_pk")],
    sources: [
      {
        in: "api/idempotency/run-idempotent.ts",
        from: `      .onConflictDoUpdate({
        target: [idempotencyKeys.scope, idempotencyKeys.key],
        set: row,
        setWhere: lte(idempotencyKeys.expiresAt, nowMs),
      })
`,
        to: "",
      },
    ],
    tests: ["test/payments/idempotency.test.ts"],
  },
  {
    without: "unique key: of a refund only one signed attempt is alive",
    sql: [
      "DROP INDEX refund_attempts_one_alive",
      dropConstraint("refund_attempts", "refund_attempts_refund_id_attempt_pk"),
    ],
    sources: [
      {
        in: "api/treasury/refunds/process-refund.ts",
        from: "if (last !== undefined && last.deadAt === null) return null;",
        to: "",
      },
    ],
    tests: ["test/payments/refunds.test.ts"],
  },
  {
    without: "condition: bytes are signed anew only when the last ones have expired at finalized",
    sources: [
      {
        in: "api/treasury/refunds/process-refund.ts",
        from: "const EXPIRY_MARGIN_BLOCKS = 32n;",
        to: "const EXPIRY_MARGIN_BLOCKS = -200n;",
      },
    ],
    tests: ["test/payments/refunds.test.ts", "test/payments/node-faults.attack.test.ts"],
  },
  {
    without: "claim: unallocated money is taken once",
    sources: [
      {
        in: "api/payments/unallocated/claim-unallocated.ts",
        from: "if (transfer.claimedBy !== null)",
        to: "if (false)",
      },
      {
        in: "api/payments/unallocated/claim-unallocated.ts",
        from: "reference: await inboundReference(tx, input.signature, input.index)",
        to: "reference: ctx.idempotencyKey ?? ''",
      },
    ],
    tests: ["test/payments/topups.test.ts"],
  },
  {
    without: "claim: only the sender takes unallocated money",
    sources: [
      {
        in: "api/payments/unallocated/claim-unallocated.ts",
        from: "      eq(inboundTransfers.sourceOwner, wallet),\n",
        to: "",
      },
    ],
    tests: ["test/payments/topups.test.ts"],
  },
  {
    without: "primary key: a notice of the card processor counts once",
    sql: [dropConstraint("card_events", "card_events_pkey")],
    tests: ["test/cards/webhooks.attack.test.ts"],
  },
  {
    without: "revision: what was read of a card payment before its last change is not applied",
    sources: [
      {
        in: "api/payments/cards/apply-card-state.ts",
        from: "const isSeen = and(eq(cardPayments.sessionId, seen.sessionId), eq(cardPayments.revision, seen.revision));",
        to: "const isSeen = eq(cardPayments.sessionId, seen.sessionId);",
      },
    ],
    tests: ["test/cards"],
  },
  {
    without: "unique key: a chain of receipts has no fork",
    sql: [dropConstraint("receipts", "receipts_chain")],
    sources: [
      {
        in: "api/receipts/issue-receipts.ts",
        from: "    .onConflictDoNothing({ target: [receipts.chain, receipts.sequence] })\n",
        to: "",
      },
    ],
    tests: ["test/receipts/receipts.test.ts"],
  },
  {
    without: "lock token: whoever has lost a task writes nothing any more",
    sources: [
      {
        in: "api/jobs/engine.ts",
        // biome-ignore-start lint/suspicious/noTemplateCurlyInString: it is the text of a source file
        from: "const held = sql`kind = ${task.kind} AND id = ${task.id} AND lock_token = ${task.token}`;",
        to: "const held = sql`kind = ${task.kind} AND id = ${task.id}`;",
        // biome-ignore-end lint/suspicious/noTemplateCurlyInString: it is the text of a source file
      },
    ],
    tests: ["test/jobs/engine.test.ts"],
  },
  {
    without: "trigger: what the treasury has signed is never unwritten",
    sql: ["DROP TRIGGER treasury_signings_guard ON treasury_signings"],
    tests: ["test/treasury/limits.attack.test.ts"],
  },
  {
    without: "task in the same transaction: what is written is followed up",
    sources: [
      {
        in: "api/payments/refunds/begin-refund.ts",
        from: '  await wake(tx, "refund", id, Math.max(nowMs, notBeforeMs));\n',
        to: "",
      },
    ],
    tests: ["test/simulation/simulation.test.ts"],
  },
];
