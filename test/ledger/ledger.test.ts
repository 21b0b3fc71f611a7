import { sql } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Transaction } from "../../api/db/database.ts";
import { CHAIN_ACCOUNT, customerAccount, escrowAccount, openAccount } from "../../api/ledger/accounts.ts";
import { auditLedger } from "../../api/ledger/audit-ledger.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { LedgerError } from "../../api/ledger/errors.ts";
import { fund } from "../../api/ledger/fund.ts";
import { hold } from "../../api/ledger/hold.ts";
import { fundedMicroUsdc } from "../../api/ledger/holds-of.ts";
import { post } from "../../api/ledger/post.ts";
import { resolve } from "../../api/ledger/resolve.ts";
import { settleBill } from "../../api/ledger/settle-bill.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(32);
});
afterAll(() => world.close());

let count = 0;
const name = () => `test-${++count}`;
const inTransaction = <Result>(work: (tx: Transaction) => Promise<Result>) => world.db.transaction(work);
const codeOf = async (attempt: Promise<unknown>): Promise<string> => {
  try {
    await attempt;
    return "done";
  } catch (error) {
    if (error instanceof LedgerError) return error.code;
    throw error;
  }
};
const brokenRules = async () => (await auditLedger(world.ctx)).filter((result) => !result.holds);

async function openCluster(clusterId: string): Promise<void> {
  await inTransaction(async (tx) => {
    await openAccount(world.ctx, tx, CHAIN_ACCOUNT, "chain");
    await openAccount(world.ctx, tx, customerAccount(clusterId), "customer");
    await openAccount(world.ctx, tx, escrowAccount(clusterId), "escrow");
    await openAccount(world.ctx, tx, "supplier:outside", "supplier");
  });
}

const deposit = (clusterId: string, amountMicroUsdc: bigint) =>
  inTransaction((tx) =>
    post(world.ctx, tx, {
      debit: CHAIN_ACCOUNT,
      credit: customerAccount(clusterId),
      amountMicroUsdc,
      reason: "test",
      reference: name(),
    }),
  );
const withdraw = (clusterId: string, amountMicroUsdc: bigint) =>
  inTransaction((tx) =>
    post(world.ctx, tx, {
      debit: customerAccount(clusterId),
      credit: "supplier:outside",
      amountMicroUsdc,
      reason: "test",
      reference: name(),
    }),
  );
const declare = (clusterId: string, amountMicroUsdc: bigint) =>
  inTransaction((tx) =>
    hold(world.ctx, tx, { clusterId, ownerId: clusterId, amountMicroUsdc, timeoutMs: 1, reference: name() }),
  );

describe("a hold", () => {
  test("has typed refusals", async () => {
    const clusterId = name();
    await openCluster(clusterId);
    const id = await declare(clusterId, 10n);
    const later = (work: (tx: Transaction) => Promise<unknown>) => codeOf(inTransaction(work));
    expect(await later((tx) => fund(world.ctx, tx, "tr_missing"))).toBe("hold_not_found");
    expect(await later((tx) => resolve(world.ctx, tx, id, 1n))).toBe("hold_not_funded");
    expect(await later((tx) => fund(world.ctx, tx, id))).toBe("insufficient_funds");
    await deposit(clusterId, 15n);
    expect(await later((tx) => fund(world.ctx, tx, id))).toBe("done");
    expect(await later((tx) => fund(world.ctx, tx, id))).toBe("hold_already_funded");
    expect(await codeOf(withdraw(clusterId, 6n))).toBe("insufficient_funds");
    expect(await later((tx) => resolve(world.ctx, tx, id, 11n))).toBe("amount_exceeds_hold");
    expect(await later((tx) => resolve(world.ctx, tx, id, 4n))).toBe("done");
    expect(await later((tx) => resolve(world.ctx, tx, id, 4n))).toBe("hold_already_posted");
    expect(await later((tx) => fund(world.ctx, tx, id))).toBe("hold_already_posted");
    expect(await balanceOf(world.db, customerAccount(clusterId))).toMatchObject({ availableMicroUsdc: 11n });
    await inTransaction((tx) =>
      post(world.ctx, tx, {
        debit: escrowAccount(clusterId),
        credit: "supplier:outside",
        amountMicroUsdc: 4n,
        reason: "test",
        reference: name(),
      }),
    );
  });

  test("that was voided, or whose money never came in its time, says which", async () => {
    const clusterId = name();
    await openCluster(clusterId);
    await deposit(clusterId, 15n);
    const later = (work: (tx: Transaction) => Promise<unknown>) => codeOf(inTransaction(work));
    const nowMs = world.ctx.clock.nowMs();
    const ended = async (timeoutMs: number, isFunded: boolean) => {
      const order = { clusterId, ownerId: clusterId, amountMicroUsdc: 5n, timeoutMs, reference: name() };
      const id = await inTransaction((tx) => hold(world.ctx, tx, order));
      if (isFunded) await inTransaction((tx) => fund(world.ctx, tx, id));
      await inTransaction((tx) => resolve(world.ctx, tx, id, 0n));
      return [
        await later((tx) => fund(world.ctx, tx, id)),
        await later((tx) => resolve(world.ctx, tx, id, 5n)),
        await later((tx) => resolve(world.ctx, tx, id, 0n)),
      ];
    };
    const [expired, voided] = [Array(3).fill("hold_expired"), Array(3).fill("hold_already_voided")];
    expect(await ended(nowMs, false)).toEqual(expired);
    expect(await ended(nowMs + 1, false)).toEqual(voided);
    expect(await ended(nowMs, true)).toEqual(voided);
    expect(await balanceOf(world.db, customerAccount(clusterId))).toMatchObject({ availableMicroUsdc: 15n });
  });

  test("is funded once and resolved once, however many try at the same time", async () => {
    const clusterId = name();
    await openCluster(clusterId);
    await deposit(clusterId, 1_000n);
    const id = await declare(clusterId, 10n);
    const funding = await Promise.all(
      Array.from({ length: 16 }, () => codeOf(inTransaction((tx) => fund(world.ctx, tx, id)))),
    );
    expect(funding.filter((code) => code === "done")).toHaveLength(1);
    const resolving = await Promise.all(
      Array.from({ length: 16 }, () => codeOf(inTransaction((tx) => resolve(world.ctx, tx, id, 0n)))),
    );
    expect(resolving.filter((code) => code === "done")).toHaveLength(1);
    expect(await balanceOf(world.db, customerAccount(clusterId))).toEqual({
      postedMicroUsdc: 1_000n,
      heldMicroUsdc: 0n,
      availableMicroUsdc: 1_000n,
    });
  });
});

type SecondStep =
  | { readonly kind: "fund"; readonly hold: number }
  | { readonly kind: "resolve"; readonly hold: number; readonly amount: bigint };
type Step = { readonly kind: "deposit" | "withdraw" | "hold"; readonly amount: bigint } | SecondStep;

const amount = fc.bigInt({ min: 1n, max: 40n });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom("deposit", "withdraw", "hold"), amount }),
  fc.record({ kind: fc.constant("fund"), hold: fc.nat(5) }),
  fc.record({ kind: fc.constant("resolve"), hold: fc.nat(5), amount: fc.bigInt({ min: 0n, max: 40n }) }),
);

/** The rules in twenty lines, without a database. */
class Model {
  posted = 0n;
  escrow = 0n;
  readonly holds: { amount: bigint; funded: boolean; resolved: string | null }[] = [];

  get available(): bigint {
    return this.posted - this.holds.reduce((sum, h) => (h.funded && h.resolved === null ? sum + h.amount : sum), 0n);
  }

  take(taken: Step): string {
    switch (taken.kind) {
      case "deposit":
        this.posted += taken.amount;
        return "done";
      case "withdraw":
        if (taken.amount > this.available) return "insufficient_funds";
        this.posted -= taken.amount;
        return "done";
      case "hold":
        this.holds.push({ amount: taken.amount, funded: false, resolved: null });
        return "done";
      default:
        return this.#second(taken);
    }
  }

  #second(taken: SecondStep): string {
    const found = this.holds[taken.hold];
    if (found === undefined) return "hold_not_found";
    if (found.resolved !== null) return found.resolved;
    if (taken.kind === "fund") {
      if (found.funded) return "hold_already_funded";
      if (found.amount > this.available) return "insufficient_funds";
      found.funded = true;
      return "done";
    }
    if (taken.amount > found.amount) return "amount_exceeds_hold";
    if (taken.amount > 0n && !found.funded) return "hold_not_funded";
    // Their time is over from the beginning.
    const unposted = found.funded ? "hold_already_voided" : "hold_expired";
    found.resolved = taken.amount > 0n ? "hold_already_posted" : unposted;
    this.posted -= taken.amount;
    this.escrow += taken.amount;
    return "done";
  }
}

async function takeStep(clusterId: string, holds: string[], taken: Step): Promise<string> {
  switch (taken.kind) {
    case "deposit":
      return codeOf(deposit(clusterId, taken.amount));
    case "withdraw":
      return codeOf(withdraw(clusterId, taken.amount));
    case "hold":
      holds.push(await declare(clusterId, taken.amount));
      return "done";
    case "fund":
      return codeOf(inTransaction((tx) => fund(world.ctx, tx, holds[taken.hold] ?? "tr_none")));
    case "resolve":
      return codeOf(inTransaction((tx) => resolve(world.ctx, tx, holds[taken.hold] ?? "tr_none", taken.amount)));
  }
}

async function emptyEscrow(clusterId: string): Promise<void> {
  const { postedMicroUsdc } = await balanceOf(world.db, escrowAccount(clusterId));
  if (postedMicroUsdc === 0n) return;
  await inTransaction((tx) =>
    post(world.ctx, tx, {
      debit: escrowAccount(clusterId),
      credit: "supplier:outside",
      amountMicroUsdc: postedMicroUsdc,
      reason: "test",
      reference: name(),
    }),
  );
}

describe("any steps", () => {
  test("one after the other give what the rules say", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const clusterId = name();
        await openCluster(clusterId);
        const model = new Model();
        const holds: string[] = [];
        for (const taken of steps) expect(await takeStep(clusterId, holds, taken)).toBe(model.take(taken));
        expect(await balanceOf(world.db, customerAccount(clusterId))).toMatchObject({
          postedMicroUsdc: model.posted,
          availableMicroUsdc: model.available,
        });
        expect((await balanceOf(world.db, escrowAccount(clusterId))).postedMicroUsdc).toBe(model.escrow);
        await emptyEscrow(clusterId);
      }),
      { numRuns: 25 },
    );
    expect(await brokenRules()).toEqual([]);
  });

  test("at the same time, over the same accounts, leave the books right and deadlock nowhere", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 30 }), async (steps) => {
        const clusterIds = [name(), name()];
        const holds: string[] = [];
        for (const clusterId of clusterIds) {
          await openCluster(clusterId);
          await deposit(clusterId, 60n);
          for (let declared = 0; declared < 3; declared++) holds.push(await declare(clusterId, 20n));
        }
        await Promise.all(steps.map((taken, index) => takeStep(clusterIds[index % 2] ?? "", holds, taken)));
        for (const clusterId of clusterIds) await emptyEscrow(clusterId);
        expect(await brokenRules()).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });
});

describe("a bill", () => {
  async function withHolds(amounts: readonly bigint[]): Promise<string> {
    const clusterId = name();
    await openCluster(clusterId);
    for (const each of amounts) {
      await deposit(clusterId, each);
      const id = await declare(clusterId, each);
      await inTransaction((tx) => fund(world.ctx, tx, id));
    }
    return clusterId;
  }

  test("is paid from all holds together; escrow ends empty, and the rest is free", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(amount, { minLength: 1, maxLength: 4 }),
        fc.array(fc.record({ supplierId: fc.constantFrom("s1", "s2"), part: fc.nat(100) }), { maxLength: 4 }),
        fc.nat(100),
        async (amounts, parts, feePart) => {
          const clusterId = await withHolds(amounts);
          const unfunded = await declare(clusterId, 99n);
          const funded = amounts.reduce((sum, each) => sum + each, 0n);
          expect(await fundedMicroUsdc(world.db, clusterId)).toBe(funded);
          const whole = BigInt(Math.max(100, feePart + parts.reduce((sum, { part }) => sum + part, 0)));
          const shares = parts.map(({ supplierId, part }) => ({
            supplierId: `${clusterId}-${supplierId}`,
            amountMicroUsdc: (funded * BigInt(part)) / whole,
          }));
          const platformFeeMicroUsdc = (funded * BigInt(feePart)) / whole;
          const earned = shares.reduce((sum, share) => sum + share.amountMicroUsdc, 0n);
          const chargedMicroUsdc = earned + platformFeeMicroUsdc;
          const input = { clusterId, chargedMicroUsdc, supplierShares: shares, platformFeeMicroUsdc };
          const { restMicroUsdc } = await inTransaction((tx) => settleBill(world.ctx, tx, input));
          expect(restMicroUsdc).toBe(funded - chargedMicroUsdc);
          expect((await balanceOf(world.db, escrowAccount(clusterId))).postedMicroUsdc).toBe(0n);
          let paid = 0n;
          for (const supplierId of ["s1", "s2"]) {
            paid += (await balanceOf(world.db, `supplier:${clusterId}-${supplierId}`)).postedMicroUsdc;
          }
          expect(paid).toBe(earned);
          expect(await codeOf(inTransaction((tx) => fund(world.ctx, tx, unfunded)))).toBe("hold_expired");
        },
      ),
      { numRuns: 25 },
    );
    expect(await brokenRules()).toEqual([]);
  });

  test("above the holds, or that doesn't add up, changes nothing", async () => {
    const clusterId = await withHolds([10n]);
    const bill = { clusterId, chargedMicroUsdc: 11n, supplierShares: [], platformFeeMicroUsdc: 11n };
    expect(await codeOf(inTransaction((tx) => settleBill(world.ctx, tx, bill)))).toBe("bill_exceeds_holds");
    const wrong = { ...bill, chargedMicroUsdc: 10n };
    expect(await codeOf(inTransaction((tx) => settleBill(world.ctx, tx, wrong)))).toBe("bill_not_balanced");
    const right = { ...bill, chargedMicroUsdc: 10n, platformFeeMicroUsdc: 10n };
    expect(await codeOf(inTransaction((tx) => settleBill(world.ctx, tx, right)))).toBe("done");
    expect(await codeOf(inTransaction((tx) => settleBill(world.ctx, tx, right)))).toBe("bill_exceeds_holds");
  });
});

test("a transfer is written in stone for the sum of an account without a balance", async () => {
  const before = await balanceOf(world.db, CHAIN_ACCOUNT);
  const clusterId = name();
  await openCluster(clusterId);
  await deposit(clusterId, 5n);
  expect((await balanceOf(world.db, CHAIN_ACCOUNT)).postedMicroUsdc).toBe(before.postedMicroUsdc - 5n);
  const kept = sql`SELECT 1 FROM accounts WHERE id = ${CHAIN_ACCOUNT} AND debits_posted = 0 AND credits_posted = 0`;
  expect(await world.db.execute(kept)).toHaveLength(1);
});
