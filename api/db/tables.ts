/**
 * The tables. Rules that must never break are constraints here or in `functions/*.sql`,
 * not only in TypeScript. Moments are epoch milliseconds (bigint) set from the injected clock.
 */

import type { ClusterReason, ClusterStatus, EventType, KeptBill } from "@volley/schema/resources/cluster";
import type { Interconnect, Isolation, Quote, SupplierClass } from "@volley/schema/resources/market";
import type { PaymentNoticeCode, PaymentPurpose, PaymentStatus, Rail } from "@volley/schema/resources/payment";
import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  unique,
  uniqueIndex,
} from "drizzle-orm/pg-core";

const money = (name: string) => bigint(name, { mode: "bigint" });
const moment = (name: string) => bigint(name, { mode: "number" });

// --- supply ---------------------------------------------------------------------------------

export const suppliers = pgTable("suppliers", {
  id: text().primaryKey(),
  name: text().notNull(),
  class: text().$type<SupplierClass>().notNull(),
  /** Wallet that gets its earnings; without one they stay with us. */
  payoutAddress: text("payout_address"),
  createdAt: moment("created_at").notNull(),
});

export const enrolmentTokens = pgTable("enrolment_tokens", {
  /** SHA-256 of the token, hex. */
  tokenHash: text("token_hash").primaryKey(),
  supplierId: text("supplier_id")
    .notNull()
    .references(() => suppliers.id),
  expiresAt: moment("expires_at").notNull(),
  nodeId: text("node_id"),
});

export const nodes = pgTable(
  "nodes",
  {
    id: text().primaryKey(),
    supplierId: text("supplier_id")
      .notNull()
      .references(() => suppliers.id),
    /** Which supplier adapter reaches the machine. */
    adapter: text().$type<"agent" | "simulated">().notNull(),
    /** Ed25519, base64url; null for machines that no agent runs on. */
    publicKey: text("public_key").unique(),
    gpu: text().notNull(),
    gpusTotal: integer("gpus_total").notNull(),
    gpusFree: integer("gpus_free").notNull(),
    priceMicroUsdcPerGpuHour: money("price_micro_usdc_per_gpu_hour").notNull(),
    country: text().notNull(),
    region: text().notNull(),
    latitude: doublePrecision().notNull(),
    longitude: doublePrecision().notNull(),
    interconnect: text().$type<Interconnect>().notNull(),
    /** Machines with the same fabric share a low-latency network; null for machines on their own. */
    fabric: text(),
    reliabilityPpm: integer("reliability_ppm").notNull(),
    isolation: text().$type<Isolation>().notNull(),
    cpuCores: integer("cpu_cores").notNull(),
    memoryGib: integer("memory_gib").notNull(),
    diskGib: integer("disk_gib").notNull(),
    status: text().$type<"online" | "offline" | "draining">().notNull(),
    advertiseAddress: text("advertise_address"),
    createdAt: moment("created_at").notNull(),
    /**
     * Transaction that last changed what the market sees. Readers ask for rows at or above the oldest
     * transaction that was still running at their last read, so a late commit is never missed.
     */
    changeXid: bigint("change_xid", { mode: "bigint" }).notNull().default(sql`(pg_current_xact_id()::text)::bigint`),
  },
  (table) => [
    check("nodes_capacity", sql`${table.gpusFree} >= 0 AND ${table.gpusFree} <= ${table.gpusTotal}`),
    check("nodes_price", sql`${table.priceMicroUsdcPerGpuHour} >= 0`),
    index("nodes_change_xid").on(table.changeXid),
    index("nodes_supplier").on(table.supplierId),
  ],
);

/** What each heartbeat writes, apart from `nodes`, so that heartbeats never wait for a reservation. */
export const nodeSessions = pgTable("node_sessions", {
  nodeId: text("node_id")
    .primaryKey()
    .references(() => nodes.id),
  lastSeenAt: moment("last_seen_at").notNull(),
  heartbeatCounter: bigint("heartbeat_counter", { mode: "number" }).notNull().default(0),
  assignmentsCounter: bigint("assignments_counter", { mode: "number" }).notNull().default(0),
  reportCounter: bigint("report_counter", { mode: "number" }).notNull().default(0),
});

/** How long something has been watched without a gap: silence says nothing about a time when nobody listened. */
export const watches = pgTable("watches", {
  name: text().primaryKey(),
  since: moment("since").notNull(),
  lastAt: moment("last_at").notNull(),
});

// --- identity -------------------------------------------------------------------------------

/** Whoever signs in with a wallet: one account per wallet. Not to be confused with the ledger's accounts. */
export const customers = pgTable("customers", {
  id: text().primaryKey(),
  /** Solana address, base58. */
  wallet: text().notNull().unique(),
  createdAt: moment("created_at").notNull(),
  /** While set, nothing is reserved, spent or sent back: a card payment is disputed, or its wallet is screened out. */
  frozenAt: moment("frozen_at"),
  frozenReason: text("frozen_reason"),
});

/** Messages that we have asked wallets to sign, each good for one use. */
export const authChallenges = pgTable(
  "auth_challenges",
  {
    nonce: text().primaryKey(),
    address: text().notNull(),
    purpose: text().$type<"sign_in" | "refund_address">().notNull(),
    /** Exactly what has to be signed. */
    message: text().notNull(),
    expiresAt: moment("expires_at").notNull(),
    usedAt: moment("used_at"),
  },
  (table) => [index("auth_challenges_expiry").on(table.expiresAt)],
);

export const sessions = pgTable(
  "sessions",
  {
    /** SHA-256 of the bearer token, hex. */
    tokenHash: text("token_hash").primaryKey(),
    customerId: text("customer_id")
      .notNull()
      .references(() => customers.id),
    createdAt: moment("created_at").notNull(),
    expiresAt: moment("expires_at").notNull(),
  },
  (table) => [index("sessions_expiry").on(table.expiresAt)],
);

// --- clusters -------------------------------------------------------------------------------

export const clusters = pgTable(
  "clusters",
  {
    id: text().primaryKey(),
    /** SHA-256 of the capability secret, hex. */
    secretHash: text("secret_hash").notNull().unique(),
    /** The account that reserved it; null when nobody had signed in. */
    customerId: text("customer_id").references(() => customers.id),
    /** Hash of who reserved (network address), to bound unpaid reservations per caller. */
    callerHash: text("caller_hash").notNull(),
    status: text().$type<ClusterStatus>().notNull(),
    statusReason: text("status_reason").$type<ClusterReason>(),
    /** A quote is good for one cluster. */
    quoteId: text("quote_id").notNull().unique(),
    quote: jsonb().$type<Quote>().notNull(),
    gpu: text().notNull(),
    gpusPerNode: integer("gpus_per_node").notNull(),
    durationSeconds: integer("duration_seconds").notNull(),
    feeBps: integer("fee_bps").notNull(),
    totalMicroUsdc: money("total_micro_usdc").notNull(),
    image: text(),
    startupScript: text("startup_script"),
    env: jsonb().$type<Record<string, string>>().notNull(),
    name: text(),
    metadata: jsonb().$type<Record<string, string>>().notNull(),
    clientReference: text("client_reference"),
    refundAddress: text("refund_address"),
    masterPort: integer("master_port").notNull(),
    createdAt: moment("created_at").notNull(),
    /** When provisioning began. */
    paidAt: moment("paid_at"),
    /** Every rank verified: metering begins here. */
    readyAt: moment("ready_at"),
    endsAt: moment("ends_at"),
    /** Metering ends here; the machines may take longer to be gone. */
    meteredUntil: moment("metered_until"),
    stoppedAt: moment("stopped_at"),
    bill: jsonb().$type<KeptBill>(),
    /** Number of the cluster's last event. */
    eventSequence: integer("event_sequence").notNull().default(0),
  },
  (table) => [
    check(
      "clusters_status",
      sql`${table.status} IN ('awaiting_payment','provisioning','running','stopping','stopped','expired','failed')`,
    ),
    /** No lease without an end: whatever runs has a moment at which it stops. */
    check(
      "clusters_end",
      sql`${table.status} <> 'running' OR (${table.readyAt} IS NOT NULL AND ${table.endsAt} IS NOT NULL)`,
    ),
    index("clusters_created").on(table.createdAt, table.id),
    index("clusters_customer").on(table.customerId, table.createdAt, table.id),
    index("clusters_unpaid").on(table.callerHash).where(sql`${table.status} = 'awaiting_payment'`),
  ],
);

export const leases = pgTable(
  "leases",
  {
    id: text().primaryKey(),
    clusterId: text("cluster_id")
      .notNull()
      .references(() => clusters.id),
    rank: integer().notNull(),
    nodeId: text("node_id")
      .notNull()
      .references(() => nodes.id),
    gpus: integer().notNull(),
    slots: integer().array().notNull(),
    rateMicroUsdcPerGpuHour: money("rate_micro_usdc_per_gpu_hour").notNull(),
    hostname: text().notNull(),
    desired: text().$type<"reserved" | "running" | "stopped">().notNull(),
    observed: text().$type<"none" | "starting" | "ready" | "exited" | "failed" | "absent">().notNull().default("none"),
    /** Since when it is as observed, or as it was last seen. */
    observedAt: moment("observed_at"),
    /** Last sighting before heartbeats began to leave it out; null while they don't. */
    unseenSince: moment("unseen_since"),
    reason: text(),
    exitCode: integer("exit_code"),
    readyAt: moment("ready_at"),
    /** Capacity given back: never before absence was observed of a lease that may have run. */
    releasedAt: moment("released_at"),
    /** When the machine must stop by itself; null until the lease may run. */
    endsAt: moment("ends_at"),
    /** Output kept so far, to bound it. */
    outputBytes: bigint("output_bytes", { mode: "number" }).notNull().default(0),
  },
  (table) => [
    unique("leases_rank").on(table.clusterId, table.rank),
    check("leases_end", sql`${table.desired} <> 'running' OR ${table.endsAt} IS NOT NULL`),
    index("leases_node_live").on(table.nodeId).where(sql`${table.releasedAt} IS NULL`),
  ],
);

/** One row per GPU slot in use: the key makes two live leases on one slot impossible. */
export const leaseSlots = pgTable(
  "lease_slots",
  {
    nodeId: text("node_id").notNull(),
    slot: integer().notNull(),
    leaseId: text("lease_id")
      .notNull()
      .references(() => leases.id),
  },
  (table) => [primaryKey({ columns: [table.nodeId, table.slot] }), index("lease_slots_lease").on(table.leaseId)],
);

export const events = pgTable(
  "events",
  {
    clusterId: text("cluster_id")
      .notNull()
      .references(() => clusters.id),
    sequence: integer().notNull(),
    id: text().notNull().unique(),
    type: text().$type<EventType>().notNull(),
    data: jsonb().$type<Record<string, unknown>>().notNull(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.clusterId, table.sequence] })],
);

// --- use ------------------------------------------------------------------------------------

export const executions = pgTable(
  "executions",
  {
    id: text().primaryKey(),
    clusterId: text("cluster_id")
      .notNull()
      .references(() => clusters.id),
    /** One execution per key: a repeated request attaches to it. */
    idempotencyKey: text("idempotency_key").notNull(),
    fingerprint: text().notNull(),
    command: jsonb().$type<string[]>().notNull(),
    stdin: text(),
    env: jsonb().$type<Record<string, string>>().notNull(),
    createdAt: moment("created_at").notNull(),
    expiresAt: moment("expires_at").notNull(),
  },
  (table) => [unique("executions_key").on(table.clusterId, table.idempotencyKey)],
);

export const executionRanks = pgTable(
  "execution_ranks",
  {
    executionId: text("execution_id")
      .notNull()
      .references(() => executions.id),
    leaseId: text("lease_id")
      .notNull()
      .references(() => leases.id),
    rank: integer().notNull(),
    exitCode: integer("exit_code"),
    reason: text(),
    finishedAt: moment("finished_at"),
  },
  (table) => [
    primaryKey({ columns: [table.executionId, table.rank] }),
    index("execution_ranks_open").on(table.leaseId).where(sql`${table.finishedAt} IS NULL`),
  ],
);

/** Output of a lease. `source` is "log" or the execution's id; numbers have no gaps within a source and rank. */
export const outputChunks = pgTable(
  "output_chunks",
  {
    clusterId: text("cluster_id")
      .notNull()
      .references(() => clusters.id),
    source: text().notNull(),
    rank: integer().notNull(),
    sequence: integer().notNull(),
    stream: text().$type<"stdout" | "stderr">().notNull(),
    data: text().notNull(),
    encoding: text().$type<"utf-8" | "base64">().notNull(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.clusterId, table.source, table.rank, table.sequence] })],
);

// --- ledger ---------------------------------------------------------------------------------

/**
 * A balance is credits - debits of posted money. `limited` accounts (customers, escrow, refunds in flight)
 * can never fall below zero, holds included; the others are only summed, so no hot row exists.
 */
export const accounts = pgTable(
  "accounts",
  {
    id: text().primaryKey(),
    kind: text()
      .$type<
        | "customer"
        | "escrow"
        | "refund"
        | "supplier"
        | "chain"
        | "card"
        | "dispute"
        | "revenue"
        | "unallocated"
        | "loss"
      >()
      .notNull(),
    limited: boolean().notNull(),
    debitsPending: money("debits_pending").notNull().default(sql`0`),
    debitsPosted: money("debits_posted").notNull().default(sql`0`),
    creditsPosted: money("credits_posted").notNull().default(sql`0`),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [
    check(
      "accounts_not_negative",
      sql`NOT ${table.limited} OR ${table.creditsPosted} - ${table.debitsPosted} - ${table.debitsPending} >= 0`,
    ),
    check("accounts_pending", sql`${table.debitsPending} >= 0`),
  ],
);

/**
 * Immutable. One row moves one amount from one account to another, so every row balances by itself.
 * - `posted`: moves at once;
 * - `pending`: declares a hold, without effect until funded;
 * - `fund`: the hold now binds that much of the debit account's money;
 * - `post`: moves `amount` of the hold and frees the rest;
 * - `void`: frees all of it.
 * A hold is funded at most once and resolved (post or void) at most once.
 */
export const transfers = pgTable(
  "transfers",
  {
    id: text().primaryKey(),
    kind: text().$type<"posted" | "pending" | "fund" | "post" | "void">().notNull(),
    pendingId: text("pending_id"),
    debitAccount: text("debit_account")
      .notNull()
      .references(() => accounts.id),
    creditAccount: text("credit_account")
      .notNull()
      .references(() => accounts.id),
    amountMicroUsdc: money("amount_micro_usdc").notNull(),
    /** A hold that is not funded by then can't be any more. */
    timeoutAt: moment("timeout_at"),
    /** What it was for: cluster, payment, refund or inbound transfer. */
    reason: text().notNull(),
    reference: text().notNull(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [
    check("transfers_amount", sql`${table.amountMicroUsdc} > 0`),
    check("transfers_sides", sql`${table.debitAccount} <> ${table.creditAccount}`),
    check("transfers_pending", sql`(${table.kind} IN ('fund','post','void')) = (${table.pendingId} IS NOT NULL)`),
    uniqueIndex("transfers_funded_once").on(table.pendingId).where(sql`${table.kind} = 'fund'`),
    uniqueIndex("transfers_resolved_once").on(table.pendingId).where(sql`${table.kind} IN ('post', 'void')`),
    /** One effect per cause: a repeated step can't move money twice. */
    uniqueIndex("transfers_once").on(table.reason, table.reference, table.debitAccount, table.creditAccount),
    index("transfers_holds").on(table.creditAccount).where(sql`${table.kind} = 'pending'`),
    /** Only accounts that somebody can list: an index over all would cost every reservation. */
    index("transfers_debit").on(table.debitAccount, table.id).where(sql`${table.debitAccount} LIKE 'customer:acct%'`),
    index("transfers_credit")
      .on(table.creditAccount, table.id)
      .where(sql`${table.creditAccount} LIKE 'customer:acct%'`),
  ],
);

// --- payments -------------------------------------------------------------------------------

/**
 * What somebody is to pay, or has paid, by whichever rail. A reservation's and an extension's belong to a cluster and
 * have a hold that they fund; a top-up belongs to an account alone.
 */
export const payments = pgTable(
  "payments",
  {
    id: text().primaryKey(),
    clusterId: text("cluster_id").references(() => clusters.id),
    customerId: text("customer_id").references(() => customers.id),
    purpose: text().$type<PaymentPurpose>().notNull(),
    rail: text().$type<Rail>().notNull(),
    status: text().$type<PaymentStatus>().notNull(),
    amountMicroUsdc: money("amount_micro_usdc").notNull(),
    receivedMicroUsdc: money("received_micro_usdc").notNull().default(sql`0`),
    /** The hold that this payment funds. */
    holdTransferId: text("hold_transfer_id").references(() => transfers.id),
    /** Where chain rails pay to: wallet, mint and the reference that names this payment in a transfer. */
    recipient: text(),
    mint: text(),
    reference: text().unique(),
    /** How final money on chain must be to count. */
    commitment: text().$type<"confirmed" | "finalized">().notNull(),
    /** The card rail's hosted page. */
    checkoutUrl: text("checkout_url"),
    /** What an extension adds. */
    extensionSeconds: integer("extension_seconds"),
    expiresAt: moment("expires_at").notNull(),
    createdAt: moment("created_at").notNull(),
    settledAt: moment("settled_at"),
    /** `slot:signature` up to which the reference's history has been read whole. */
    scannedUntil: text("scanned_until"),
  },
  (table) => [
    index("payments_cluster").on(table.clusterId),
    index("payments_customer").on(table.customerId, table.createdAt, table.id),
    check("payments_received", sql`${table.receivedMicroUsdc} >= 0`),
    check("payments_topup", sql`(${table.purpose} = 'topup') = (${table.clusterId} IS NULL)`),
    check("payments_owner", sql`${table.clusterId} IS NOT NULL OR ${table.customerId} IS NOT NULL`),
    check("payments_hold", sql`(${table.purpose} = 'topup') = (${table.holdTransferId} IS NULL)`),
    check(
      "payments_on_chain",
      sql`${table.rail} NOT IN ('solana_pay', 'x402')
          OR (${table.recipient} IS NOT NULL AND ${table.mint} IS NOT NULL AND ${table.reference} IS NOT NULL)`,
    ),
  ],
);

/** Every USDC transfer into our token account, once. */
export const inboundTransfers = pgTable(
  "inbound_transfers",
  {
    signature: text().notNull(),
    /** Number of the instruction in order of execution. */
    transferIndex: integer("transfer_index").notNull(),
    slot: bigint({ mode: "bigint" }).notNull(),
    sourceOwner: text("source_owner"),
    amountMicroUsdc: money("amount_micro_usdc").notNull(),
    /** Null: unallocated. */
    paymentId: text("payment_id").references(() => payments.id),
    /** The account that claimed it while it was unallocated, by proving its source. */
    claimedBy: text("claimed_by").references(() => customers.id),
    finality: text().$type<"confirmed" | "finalized" | "dropped">().notNull(),
    /** Came after its payment had expired: it is credit and doesn't count towards the payment. */
    late: boolean().notNull(),
    /** Finalized slot at which the transaction was first not to be found any more; null while it is there. */
    missingSinceSlot: bigint("missing_since_slot", { mode: "bigint" }),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.signature, table.transferIndex] }),
    index("inbound_payment").on(table.paymentId),
    index("inbound_unallocated").on(table.sourceOwner).where(sql`${table.paymentId} IS NULL`),
    index("inbound_not_final").on(table.createdAt).where(sql`${table.finality} = 'confirmed'`),
  ],
);

export const paymentNotices = pgTable(
  "payment_notices",
  {
    paymentId: text("payment_id")
      .notNull()
      .references(() => payments.id),
    code: text().$type<PaymentNoticeCode>().notNull(),
    /** Empty where no single transaction is meant. */
    signature: text().notNull(),
    detail: text().notNull(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.paymentId, table.code, table.signature] })],
);

/** Where the scan of our own token account stands. */
export const chainCursors = pgTable("chain_cursors", {
  name: text().primaryKey(),
  signature: text().notNull(),
  slot: bigint({ mode: "bigint" }).notNull(),
});

/**
 * Money that leaves on chain: back to a payer, or out to a supplier. One row is one chain of signed bytes. Its money
 * stands in the ledger account `refund:<id>` until it is final.
 */
export const refunds = pgTable(
  "refunds",
  {
    id: text().primaryKey(),
    kind: text().$type<"refund" | "payout">().notNull(),
    /** Whose money it was: exactly one of the three. */
    clusterId: text("cluster_id").references(() => clusters.id),
    customerId: text("customer_id").references(() => customers.id),
    supplierId: text("supplier_id").references(() => suppliers.id),
    toAddress: text("to_address").notNull(),
    amountMicroUsdc: money("amount_micro_usdc").notNull(),
    status: text().$type<"pending" | "held" | "sent" | "finalized" | "cancelled">().notNull(),
    /** Why it is held, in a sentence. */
    reason: text(),
    /** Nothing is signed earlier: the delay of an address that nobody has proved to own. */
    notBefore: moment("not_before").notNull(),
    /** The attempt that landed. */
    signature: text(),
    createdAt: moment("created_at").notNull(),
    finalizedAt: moment("finalized_at"),
  },
  (table) => [
    index("refunds_cluster").on(table.clusterId),
    index("refunds_customer").on(table.customerId, table.createdAt, table.id),
    index("refunds_supplier").on(table.supplierId, table.createdAt, table.id),
    check("refunds_amount", sql`${table.amountMicroUsdc} > 0`),
    check("refunds_owner", sql`num_nonnulls(${table.clusterId}, ${table.customerId}, ${table.supplierId}) = 1`),
    check("refunds_kind", sql`(${table.kind} = 'payout') = (${table.supplierId} IS NOT NULL)`),
  ],
);

/** Signed bytes are stored before they are sent; a new attempt is signed only when the last can't land any more. */
export const refundAttempts = pgTable(
  "refund_attempts",
  {
    refundId: text("refund_id")
      .notNull()
      .references(() => refunds.id),
    attempt: integer().notNull(),
    signature: text().notNull().unique(),
    transactionBase64: text("transaction_base64").notNull(),
    lastValidBlockHeight: bigint("last_valid_block_height", { mode: "bigint" }).notNull(),
    /** Its blockhash expired at `finalized` without it having landed, or it failed on chain. */
    deadAt: moment("dead_at"),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.refundId, table.attempt] }),
    uniqueIndex("refund_attempts_one_alive").on(table.refundId).where(sql`${table.deadAt} IS NULL`),
  ],
);

/**
 * Transactions whose fee the sponsor pays: wallets get them to sign, x402 clients have signed them already. The key is
 * the claim: one message is sponsored, sent and counted once.
 */
export const sponsoredTransactions = pgTable(
  "sponsored_transactions",
  {
    /** SHA-256 of the message's bytes, hex. */
    id: text().primaryKey(),
    purpose: text().$type<"transaction_request" | "x402">().notNull(),
    paymentId: text("payment_id")
      .notNull()
      .references(() => payments.id),
    /** As it came, without the sponsor's signature. */
    transactionBase64: text("transaction_base64").notNull(),
    status: text().$type<"requested" | "signed" | "refused" | "settled" | "failed">().notNull(),
    /** Its payer's signature, base58: how it is known on chain, whoever pays its fee. Null where the payer signs last. */
    payerSignature: text("payer_signature"),
    /** With the sponsor's signature. */
    signedBase64: text("signed_base64"),
    /** Of the sponsor: the transaction's id on chain. */
    signature: text().unique(),
    lastValidBlockHeight: bigint("last_valid_block_height", { mode: "bigint" }).notNull(),
    /** Why it was refused or failed, in a sentence. */
    reason: text(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [index("sponsored_payment").on(table.paymentId)],
);

/** Everything that the treasury has signed, for its limits. Written by the treasury alone, never changed. */
export const treasurySignings = pgTable(
  "treasury_signings",
  {
    signature: text().primaryKey(),
    purpose: text().$type<"refund" | "payout" | "sponsor" | "anchor">().notNull(),
    /** Of the refund, the sponsored transaction, or the day that is anchored. */
    reference: text().notNull(),
    microUsdc: money("micro_usdc").notNull(),
    lamports: bigint({ mode: "bigint" }).notNull(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [index("treasury_signings_day").on(table.createdAt)],
);

/** One row per card payment, by the Checkout session that it came through: written once the processor has opened it. */
export const cardPayments = pgTable(
  "card_payments",
  {
    sessionId: text("session_id").primaryKey(),
    paymentId: text("payment_id")
      .notNull()
      .unique()
      .references(() => payments.id),
    paymentIntent: text("payment_intent").unique(),
    amountMinor: bigint("amount_minor", { mode: "bigint" }).notNull(),
    currency: text().notNull(),
    status: text().$type<"open" | "paid" | "failed">().notNull(),
    /** Where its money is: in a ledger account of the payment's own, not to be spent yet; */
    maturingMicroUsdc: money("maturing_micro_usdc").notNull().default(sql`0`),
    /** in the `dispute:` of its owner, until the dispute is decided; */
    contestedMicroUsdc: money("contested_micro_usdc").notNull().default(sql`0`),
    /** back at the processor, by refunds and lost disputes. The rest is, or was, balance. */
    reversedMicroUsdc: money("reversed_micro_usdc").notNull().default(sql`0`),
    /** What of contested and reversed money the account didn't have any more: the platform's loss so far. */
    lossMicroUsdc: money("loss_micro_usdc").notNull().default(sql`0`),
    disputeStatus: text("dispute_status"),
    /** Counts changes, so that what was read of the processor before the last one is not applied after it. */
    revision: integer().notNull().default(0),
    createdAt: moment("created_at").notNull(),
    /** When the account may spend it; null until it is paid. */
    availableAt: moment("available_at"),
  },
  (table) => [
    check(
      "card_payments_positions",
      sql`${table.maturingMicroUsdc} >= 0 AND ${table.contestedMicroUsdc} >= 0 AND ${table.reversedMicroUsdc} >= 0
          AND ${table.lossMicroUsdc} BETWEEN 0 AND ${table.contestedMicroUsdc} + ${table.reversedMicroUsdc}`,
    ),
    check("card_payments_paid", sql`(${table.status} = 'paid') = (${table.availableAt} IS NOT NULL)`),
  ],
);

/** Webhook events of the card processor that were handled, each once. */
export const cardEvents = pgTable("card_events", {
  id: text().primaryKey(),
  type: text().notNull(),
  createdAt: moment("created_at").notNull(),
});

/** What is wrong now. A row is there while it is. */
export const alarms = pgTable("alarms", {
  name: text().primaryKey(),
  detail: text().notNull(),
  /** Refunds and payouts wait while it is there; rentals don't. */
  blocksOutbound: boolean("blocks_outbound").notNull(),
  raisedAt: moment("raised_at").notNull(),
  seenAt: moment("seen_at").notNull(),
});

/** Every decision about an address, as evidence. */
export const screenings = pgTable(
  "screenings",
  {
    id: text().primaryKey(),
    address: text().notNull(),
    /** What it was asked for: refund, payout, inbound transfer, sign-in. */
    subject: text().notNull(),
    reference: text().notNull(),
    allowed: boolean().notNull(),
    /** Date of the list that was asked, ISO 8601. */
    listDate: text("list_date").notNull(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [unique("screenings_once").on(table.subject, table.reference, table.address, table.listDate)],
);

// --- receipts -------------------------------------------------------------------------------

/** One per ended cluster. Each names the hash of the one before it in its chain, so that none can be left out later. */
export const receipts = pgTable(
  "receipts",
  {
    id: text().primaryKey(),
    /** The account's id, or the cluster's where nobody had signed in. */
    chain: text().notNull(),
    sequence: integer().notNull(),
    clusterId: text("cluster_id")
      .notNull()
      .unique()
      .references(() => clusters.id),
    /** SHA-256 of the compact JWS, hex. */
    hash: text().notNull().unique(),
    /** Compact JWS, EdDSA. */
    jws: text().notNull(),
    /** UTC date, ISO 8601: the Merkle tree that it is a leaf of. */
    day: text().notNull(),
    createdAt: moment("created_at").notNull(),
  },
  (table) => [
    unique("receipts_chain").on(table.chain, table.sequence),
    check("receipts_sequence", sql`${table.sequence} >= 1`),
    index("receipts_day").on(table.day, table.id),
  ],
);

/** The root over a day's receipts, written into a memo on chain. */
export const receiptAnchors = pgTable("receipt_anchors", {
  day: text().primaryKey(),
  merkleRoot: text("merkle_root").notNull(),
  leaves: integer().notNull(),
  status: text().$type<"pending" | "sent" | "finalized">().notNull(),
  signature: text(),
  transactionBase64: text("transaction_base64"),
  lastValidBlockHeight: bigint("last_valid_block_height", { mode: "bigint" }),
  createdAt: moment("created_at").notNull(),
});

// --- engine ---------------------------------------------------------------------------------

export const TASK_KINDS = [
  "cluster",
  "payment",
  "treasury",
  "card",
  "nodes",
  "keys",
  "audit",
  "receipts",
  "payouts",
  // Only the treasury process has handlers for these.
  "refund",
  "sponsor",
  "anchor",
] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

/**
 * The outbox of work: whoever changes a state that something has to follow writes or wakes the row of that
 * object here, in the same transaction. A worker leases a row by token, works outside any transaction,
 * and applies the result only while the token still holds.
 */
export const tasks = pgTable(
  "tasks",
  {
    kind: text().$type<TaskKind>().notNull(),
    id: text().notNull(),
    dueAt: moment("due_at").notNull(),
    lockToken: text("lock_token"),
    lockOwner: text("lock_owner"),
    lockExpiresAt: moment("lock_expires_at"),
    /** Counts wake-ups, so that one which comes while the row is leased is not lost. */
    revision: integer().notNull().default(0),
    attempts: integer().notNull().default(0),
    lastError: text("last_error"),
    lastProcessedAt: moment("last_processed_at"),
  },
  (table) => [primaryKey({ columns: [table.kind, table.id] }), index("tasks_due").on(table.dueAt)],
);

export const idempotencyKeys = pgTable(
  "idempotency_keys",
  {
    /** Operation and caller. */
    scope: text().notNull(),
    key: text().notNull(),
    fingerprint: text().notNull(),
    response: jsonb().$type<Record<string, unknown>>().notNull(),
    createdAt: moment("created_at").notNull(),
    expiresAt: moment("expires_at").notNull(),
  },
  (table) => [primaryKey({ columns: [table.scope, table.key] }), index("idempotency_expiry").on(table.expiresAt)],
);
