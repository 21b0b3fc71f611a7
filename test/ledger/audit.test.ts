import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { auditCapacity } from "../../api/ledger/audit-capacity.ts";
import { auditChain } from "../../api/ledger/audit-chain.ts";
import { auditLedger } from "../../api/ledger/audit-ledger.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";

let world: MoneyWorld;
let paid: Reservation;
let unpaid: Reservation;
beforeAll(async () => {
  world = await newMoneyWorld();
  const receiver = await world.wallet();
  paid = await world.reserve({ amountMicroUsdc: 5_000_000n, refundAddress: receiver.address });
  await world.pay(await world.wallet(), 6_000_000n, [paid.reference]);
  world.advance(1);
  await world.watch(paid);
  unpaid = await world.reserve({ amountMicroUsdc: 5_000_000n });
  await world.catchUp();
});
afterAll(() => world.close());

/** Breaks the database on purpose, past its constraints, asks, and takes it back. */
async function rulesBrokenBy(corruption: (paid: Reservation, unpaid: Reservation) => string): Promise<string[]> {
  const rollBack = new Error("roll back");
  let broken: string[] = [];
  await world.db
    .transaction(async (tx) => {
      await tx.execute(sql`SET LOCAL session_replication_role = replica`);
      await tx.execute(
        sql.raw(`ALTER TABLE accounts DROP CONSTRAINT accounts_not_negative;
                 ALTER TABLE leases DROP CONSTRAINT leases_end;
                 ALTER TABLE clusters DROP CONSTRAINT clusters_end;
                 ALTER TABLE nodes DROP CONSTRAINT nodes_capacity;
                 DROP INDEX transfers_funded_once, transfers_resolved_once`),
      );
      await tx.execute(sql.raw(corruption(paid, unpaid)));
      // The audit sees the corruption, which is not committed, through the same transaction.
      const seen = { transaction: <Result>(work: (inner: typeof tx) => Promise<Result>) => work(tx) };
      const ctx = { ...world.ctx, db: seen as unknown as typeof world.ctx.db };
      const results = [...(await auditLedger(ctx)), ...(await auditCapacity(ctx))];
      broken = results.filter((result) => !result.holds).map((result) => result.name);
      throw rollBack;
    })
    .catch((error: unknown) => {
      if (error !== rollBack) throw error;
    });
  return broken;
}

test("what is right is found right, and every rule says what it looked at", async () => {
  const results = [
    ...(await auditLedger(world.ctx)),
    ...(await auditCapacity(world.ctx)),
    ...(await auditChain(world.ctx)),
  ];
  expect(results.filter((result) => !result.holds)).toEqual([]);
  expect(results.length).toBeGreaterThan(18);
  for (const result of results) expect(result.detail).not.toBe("");
});

const inDatabase: [string, (paid: Reservation, unpaid: Reservation) => string, string][] = [
  [
    "a balance that was changed by hand",
    (of) => `UPDATE accounts SET credits_posted = credits_posted + 1 WHERE id = 'customer:${of.clusterId}'`,
    "I1 balances add up to zero",
  ],
  [
    "two balances that were changed against each other",
    (of, other) => `UPDATE accounts SET credits_posted = credits_posted + 1 WHERE id = 'customer:${of.clusterId}';
                    UPDATE accounts SET debits_posted = debits_posted + 1 WHERE id = 'customer:${other.clusterId}'`,
    "I2 kept balances equal the sum of their transfers",
  ],
  [
    "a held amount that no hold explains",
    (of) => `UPDATE accounts SET debits_pending = 0 WHERE id = 'customer:${of.clusterId}'`,
    "I2 kept balances equal the sum of their transfers",
  ],
  [
    "a hold that was funded twice",
    (of) => `INSERT INTO transfers SELECT id || 'x', kind, pending_id, debit_account, credit_account,
               amount_micro_usdc, timeout_at, reason || 'x', reference, created_at
             FROM transfers WHERE kind = 'fund' AND debit_account = 'customer:${of.clusterId}'`,
    "I1 every second phase fits its hold",
  ],
  [
    "more posted than was held",
    (of) => `INSERT INTO transfers SELECT id || 'x', 'post', pending_id, debit_account, credit_account,
               amount_micro_usdc + 1, timeout_at, reason || 'x', reference, created_at
             FROM transfers WHERE kind = 'fund' AND debit_account = 'customer:${of.clusterId}'`,
    "I1 every second phase fits its hold",
  ],
  [
    "an account below zero",
    (_of, other) => `SELECT ledger_post('tr_x', 'customer:${other.clusterId}', 'chain:usdc', 1, 'x', 'x', 1)`,
    "I3 no limited account is below zero",
  ],
  [
    "an inbound row that the ledger lacks",
    (of) => `INSERT INTO inbound_transfers
               (signature, transfer_index, slot, amount_micro_usdc, payment_id, finality, late, created_at)
             VALUES ('x', 0, 1, 1, '${of.paymentId}', 'finalized', false, 1)`,
    "I5 every inbound transfer is in the ledger once, for whom it was meant",
  ],
  [
    "an inbound ledger transfer without a row",
    (of) => `SELECT ledger_post('tr_x', 'chain:usdc', 'customer:${of.clusterId}', 1, 'inbound', 'x:0', 1)`,
    "I5 every inbound transfer is in the ledger once, for whom it was meant",
  ],
  [
    "a transfer that was credited to somebody else",
    (of, other) => `UPDATE inbound_transfers SET payment_id = '${other.paymentId}'
                    WHERE payment_id = '${of.paymentId}'`,
    "I5 every inbound transfer is in the ledger once, for whom it was meant",
  ],
  [
    "a payment that claims more than came",
    (of) => `UPDATE payments SET received_micro_usdc = received_micro_usdc + 1 WHERE id = '${of.paymentId}'`,
    "I5 every payment has received the sum of its transfers",
  ],
  [
    "money that stays in escrow",
    (of) => `SELECT ledger_post('tr_x', 'customer:${of.clusterId}', 'escrow:${of.clusterId}', 1, 'x', 'x', 1)`,
    "I6 escrow is empty",
  ],
  [
    "a refund that holds less than its amount",
    (of) => `INSERT INTO refunds (id, kind, cluster_id, to_address, amount_micro_usdc, status, not_before, created_at)
             VALUES ('rfd_x', 'refund', '${of.clusterId}', 'x', 1, 'pending', 1, 1)`,
    "I6 a refund holds its amount until it is final, and nothing after",
  ],
  [
    "a settled payment whose hold has no money",
    (_of, other) => `UPDATE payments SET status = 'settled' WHERE id = '${other.paymentId}'`,
    "I6 a payment's hold is where the payment is",
  ],
  [
    "an ended cluster that has no bill",
    (_of, other) => `UPDATE clusters SET status = 'expired' WHERE id = '${other.clusterId}'`,
    "I6 an ended cluster has a bill and no open hold",
  ],
  [
    "a bill that differs from the ledger",
    (of) => `UPDATE clusters SET bill = '{"charged":{"amount":"1.000000"}}' WHERE id = '${of.clusterId}'`,
    "I6 what an ended cluster was charged is what its bill says",
  ],
  [
    "a lease without its slot",
    () => "DELETE FROM lease_slots",
    "C1 a live lease holds exactly its slots, an ended one none",
  ],
  [
    "an ended lease that keeps its slot",
    (of) => `UPDATE leases SET released_at = 1 WHERE cluster_id = '${of.clusterId}'`,
    "C1 a live lease holds exactly its slots, an ended one none",
  ],
  [
    "a free GPU too many",
    () => "UPDATE nodes SET gpus_free = gpus_free + 1",
    "C2 free GPUs and used slots of every machine add up",
  ],
  [
    "a lease that runs without an end",
    (of) => `UPDATE leases SET desired = 'running' WHERE cluster_id = '${of.clusterId}'`,
    "C3 no lease runs without an end",
  ],
  [
    "a machine that is to run for a cluster that isn't paid",
    (_of, other) => `UPDATE leases SET desired = 'running', ends_at = 1 WHERE cluster_id = '${other.clusterId}'`,
    "C3 only a cluster that is alive wants its machines to run",
  ],
  [
    "an ended cluster that nobody winds down",
    (of) => `UPDATE clusters SET status = 'stopped' WHERE id = '${of.clusterId}'; DELETE FROM tasks`,
    "C3 an ended cluster holds no machine, or a task is giving it back",
  ],
  [
    "a cluster that no task follows",
    () => "DELETE FROM tasks",
    "C3 a task follows every cluster and refund that isn't finished",
  ],
];

describe("a planted corruption is found", () => {
  test.each(inDatabase)("%s", async (_name, corruption, rule) => {
    expect(await rulesBrokenBy(corruption)).toContain(rule);
  });

  test("money that left the treasury without a refund", async () => {
    const before = (await auditChain(world.ctx)).filter((result) => !result.holds);
    expect(before).toEqual([]);
    await world.drain(1_000n);
    world.advance(10);
    expect((await auditChain(world.ctx)).filter((result) => !result.holds).map((result) => result.name)).toEqual([
      "I4 the treasury's account holds what the ledger says (finalized)",
      "I4 the treasury's account holds what the ledger says (confirmed)",
    ]);
  });
});
