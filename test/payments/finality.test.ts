import { parseId } from "@volley/schema/ids";
import { parseUsdc } from "@volley/schema/money";
import { eq, inArray } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endCluster } from "../../api/clusters/end-cluster.ts";
import { extendCluster } from "../../api/clusters/extend.ts";
import { lockCluster } from "../../api/clusters/open-cluster.ts";
import type { Context } from "../../api/context.ts";
import { chainCursors, clusters, inboundTransfers, leases } from "../../api/db/tables.ts";
import { openAccount } from "../../api/ledger/accounts.ts";
import { auditLedger } from "../../api/ledger/audit-ledger.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { post } from "../../api/ledger/post.ts";
import { getBalance } from "../../api/payments/balance/get-balance.ts";
import { createTopup } from "../../api/payments/create-topup.ts";
import { confirmFinality } from "../../api/payments/inbound/confirm-finality.ts";
import { recordInbound } from "../../api/payments/inbound/record-inbound.ts";
import { treasuryAccount } from "../../api/payments/inbound/treasury-account.ts";
import { watchPayment } from "../../api/payments/inbound/watch-payment.ts";
import { type Chain, ChainError } from "../../api/ports/chain.ts";
import { type SignedIn, signIn } from "../harness/account.ts";
import type { Reservation } from "../harness/reservation.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const AMOUNT = 5_000_000n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

const chainThat = (parts: Partial<Chain>): Context => world.with({ chain: { ...world.ctx.chain, ...parts } });
const rowOf = async (signature: string) => {
  const [row] = await world.db.select().from(inboundTransfers).where(eq(inboundTransfers.signature, signature));
  return row;
};

async function paid(surplus = 0n): Promise<{ reservation: Reservation; signature: string }> {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const signature = await world.pay(await world.wallet(AMOUNT + surplus), AMOUNT + surplus, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  return { reservation, signature };
}

const availableOf = async (who: SignedIn) => (await getBalance(who.as(), {})).available.amount;

/** A chain from which these transactions are gone. */
const without = (...gone: string[]): Context =>
  chainThat({
    transaction: async (signature, commitment) =>
      gone.includes(signature) ? null : world.ctx.chain.transaction(signature, commitment),
    signatureStatus: async (signature) =>
      gone.includes(signature) ? null : world.ctx.chain.signatureStatus(signature),
    signaturesForAddress: async (at, options) =>
      (await world.ctx.chain.signaturesForAddress(at, options)).filter(({ signature }) => !gone.includes(signature)),
  });

async function confirm(context: Context) {
  await confirmFinality(context, await treasuryAccount(context.settings));
}

/** Looks again and again until the transfer counts as gone. */
async function untilDropped(signature: string) {
  const context = without(signature);
  for (let looks = 0; (await rowOf(signature))?.finality !== "dropped"; looks++) {
    if (looks > 100) throw new Error("it never counted as gone");
    world.advance(20);
    await confirm(context);
  }
}

describe("a transfer that was seen at confirmed", () => {
  test("is marked final when the chain says so", async () => {
    const { signature } = await paid();
    await confirm(world.ctx);
    expect(await rowOf(signature)).toMatchObject({ finality: "confirmed" });
    world.advance(4);
    await confirm(world.ctx);
    expect(await rowOf(signature)).toMatchObject({ finality: "finalized" });
  });

  test("survives a node that doesn't know it for a while", async () => {
    const { signature } = await paid();
    const blind = without(signature);
    for (let looks = 0; looks < 30; looks++) {
      world.advance(20);
      // Now and then another node answers.
      await confirm(looks % 7 === 6 ? chainThat({ transaction: async () => null }) : blind);
      expect(await rowOf(signature)).toMatchObject({ finality: "confirmed" });
    }
    await confirm(world.ctx);
    expect(await rowOf(signature)).toMatchObject({ finality: "finalized" });
    expect(await world.faults()).toEqual([]);
  });

  test("and is gone for good is reversed: what it paid for stops and costs nothing", async () => {
    const { reservation, signature } = await paid(2_000_000n);
    const nowMs = world.clock.nowMs();
    await world.db
      .update(clusters)
      .set({ status: "running", readyAt: nowMs, endsAt: nowMs + 3_600_000 })
      .where(eq(clusters.id, reservation.clusterId));
    await world.db
      .update(leases)
      .set({ desired: "running", endsAt: nowMs + 3_600_000 })
      .where(eq(leases.clusterId, reservation.clusterId));
    await untilDropped(signature);
    expect(await world.cluster(reservation)).toMatchObject({
      status: "stopping",
      statusReason: "unpaid",
      bill: { charged: { amount: "0.000000" }, refund: { amount: { amount: "0.000000" } } },
    });
    expect(await world.payment(reservation)).toMatchObject({ status: "expired", receivedMicroUsdc: 0n });
    expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toMatchObject({ postedMicroUsdc: 0n });

    // The transaction lands again after all: its money is credit.
    await world.db.delete(chainCursors);
    await world.catchUp();
    expect(await rowOf(signature)).toMatchObject({ finality: "finalized", late: true });
    expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toMatchObject({
      availableMicroUsdc: AMOUNT + 2_000_000n,
    });
    expect(await world.faults()).toEqual([]);
  });

  test("without a reference is reversed too", async () => {
    const signature = await world.pay(await world.wallet(), 1_000n);
    world.advance(1);
    await world.sweep();
    const before = await balanceOf(world.db, "unallocated:usdc");
    await untilDropped(signature);
    const after = await balanceOf(world.db, "unallocated:usdc");
    expect(before.postedMicroUsdc - after.postedMicroUsdc).toBe(1_000n);
    await world.db.delete(chainCursors);
    await world.catchUp();
    expect(await world.faults()).toEqual([]);
  });

  test("takes the refund back that was to send its money on", async () => {
    const { reservation, signature } = await paid();
    await end(reservation, (await world.wallet()).address);
    expect(await world.refunds(reservation)).toMatchObject([{ amountMicroUsdc: AMOUNT, status: "pending" }]);
    await untilDropped(signature);
    expect(await world.refunds(reservation)).toMatchObject([{ status: "cancelled" }]);
    expect((await world.cluster(reservation)).bill).toMatchObject({
      paid: { amount: "0.000000" },
      refund: { id: null, amount: { amount: "0.000000" }, status: "credited" },
    });
    expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toMatchObject({ postedMicroUsdc: 0n });
    expect((await auditLedger(world.ctx)).filter((result) => !result.holds)).toEqual([]);
  });

  test("and that has been earned by a supplier is the platform's loss, and the books still balance", async () => {
    const { reservation, signature } = await paid();
    const readyAt = world.clock.nowMs();
    const hourMs = 3_600_000;
    await world.db
      .update(clusters)
      .set({ status: "running", readyAt, endsAt: readyAt + hourMs })
      .where(eq(clusters.id, reservation.clusterId));
    await end(reservation, null, readyAt + hourMs);
    const { bill } = await world.cluster(reservation);
    expect(bill?.charged.amount).not.toBe("0.000000");
    const before = await balanceOf(world.db, "loss:platform");
    await untilDropped(signature);
    const after = await balanceOf(world.db, "loss:platform");
    expect(before.postedMicroUsdc - after.postedMicroUsdc).toBe(parseUsdc(bill?.charged.amount ?? ""));
    expect((await auditLedger(world.ctx)).filter((result) => !result.holds)).toEqual([]);
  });
});

describe("more than may count at confirmed, beyond what was asked for", () => {
  const SURPLUS = 150_000_000n;

  test("pays for no extension before it is final", async () => {
    const { reservation } = await paid(SURPLUS);
    const nowMs = world.clock.nowMs();
    await world.db
      .update(clusters)
      .set({ status: "running", readyAt: nowMs, endsAt: nowMs + 3_600_000 })
      .where(eq(clusters.id, reservation.clusterId));
    const extend = (key: string) =>
      extendCluster(world.holder(reservation, `${key} of ${reservation.clusterId}`), {
        id: parseId("cluster", reservation.clusterId),
        duration_seconds: 1_800,
        dry_run: false,
      });
    expect(await extend("too early")).toMatchObject({ payment: { status: "pending" } });
    await world.catchUp();
    expect(await extend("final")).toMatchObject({ payment: null });
    expect(await world.faults()).toEqual([]);
  });

  test("is no balance before it is final, and then goes there by itself", async () => {
    const { who, reservation } = await paidByAccount(SURPLUS);
    await end(reservation, null);
    expect(await availableOf(who)).toBe("0.000000");
    const bill = (amount: string, to: string) => ({ paid: { amount }, refund: { to, amount: { amount } } });
    expect(await world.cluster(reservation)).toMatchObject({ bill: bill("155.000000", "credit") });
    await world.catchUp();
    expect(await availableOf(who)).toBe("155.000000");
    expect(await world.cluster(reservation)).toMatchObject({ bill: bill("155.000000", "balance") });

    await world.pay(await world.wallet(SURPLUS), SURPLUS, [reservation.reference]);
    world.advance(1);
    await world.sweep();
    expect(await availableOf(who)).toBe("155.000000");
    expect(await world.cluster(reservation)).toMatchObject({ bill: bill("155.000000", "balance") });
    await world.catchUp();
    expect(await availableOf(who)).toBe("305.000000");
    expect(await world.cluster(reservation)).toMatchObject({ bill: bill("305.000000", "balance") });
    expect(await world.faults()).toEqual([]);
  });

  test("leaves no loss when it vanishes after the end", async () => {
    const { who, reservation, signature } = await paidByAccount(SURPLUS);
    await end(reservation, null);
    await untilDropped(signature);
    expect(await availableOf(who)).toBe("0.000000");
    expect(await world.cluster(reservation)).toMatchObject({
      bill: { paid: { amount: "0.000000" }, refund: { amount: { amount: "0.000000" } } },
    });
    await world.db.delete(chainCursors);
    await world.catchUp();
    expect(await availableOf(who)).toBe("155.000000");
    expect(await world.faults()).toEqual([]);
  });

  async function paidByAccount(surplus: bigint) {
    const who = await signIn(world.ctx, await world.wallet());
    const found = await paid(surplus);
    const { clusterId } = found.reservation;
    await world.db.update(clusters).set({ customerId: who.account.id }).where(eq(clusters.id, clusterId));
    return { who, ...found };
  }
});

describe("what was spent of a transfer that vanished, and lands again after all", () => {
  const lossOf = async () => -(await balanceOf(world.db, "loss:platform")).postedMicroUsdc;
  async function landAgain() {
    await world.db.delete(chainCursors);
    await world.catchUp();
  }

  test("is the platform's again where it had filled a balance", async () => {
    const who = await signIn(world.ctx, await world.wallet(60_000_000n));
    const before = await lossOf();
    const topup = await createTopup(who.as({ idempotencyKey: "key" }), { amount: "60", rail: "solana_pay" });
    const { reference } = solanaPayOf(topup);
    const signature = await world.pay(who.wallet, 60_000_000n, [reference]);
    world.advance(1);
    await watchPayment(world.ctx, topup.id);
    await spend(who, 45_000_000n);
    const known = await rowOf(signature);
    if (known === undefined) throw new Error("it was not seen");
    const { amountMicroUsdc, sourceOwner, transferIndex: index, slot } = known;
    const transfers = [{ index, amountMicroUsdc, sourceOwner, referenceKeys: [], reference }];
    for (let times = 0; times < 2; times++) {
      await untilDropped(signature);
      expect(await availableOf(who)).toBe("0.000000");
      expect((await lossOf()) - before).toBe(45_000_000n);
      await recordInbound(world.ctx, { signature, slot, blockTimeSeconds: null, transfers, finality: "confirmed" });
      expect(await availableOf(who)).toBe("15.000000");
      expect(await lossOf()).toBe(before);
    }
    await landAgain();
    expect(await availableOf(who)).toBe("15.000000");
    expect(await world.faults()).toEqual([]);
  });

  test("is the platform's again where a cluster was charged for it, and its bill adds up", async () => {
    const { reservation, signature } = await paid();
    const readyAt = world.clock.nowMs();
    const hourMs = 3_600_000;
    const isThis = eq(clusters.id, reservation.clusterId);
    await world.db
      .update(clusters)
      .set({ status: "running", readyAt, endsAt: readyAt + hourMs })
      .where(isThis);
    await end(reservation, null, readyAt + hourMs);
    const before = await lossOf();
    const { bill } = await world.cluster(reservation);
    await untilDropped(signature);
    expect((await lossOf()) - before).toBe(parseUsdc(bill?.charged.amount ?? ""));
    await landAgain();
    expect(await lossOf()).toBe(before);
    expect((await world.cluster(reservation)).bill).toEqual(bill);
    expect(await world.faults()).toEqual([]);
  });

  async function spend(who: SignedIn, amountMicroUsdc: bigint) {
    const spent = { debit: `customer:${who.account.id}`, credit: "revenue:platform", amountMicroUsdc };
    await world.db.transaction(async (tx) => {
      await openAccount(world.ctx, tx, spent.credit, "revenue");
      await post(world.ctx, tx, { ...spent, reason: "test", reference: who.account.id });
    });
  }
});

describe("of more transfers than one look takes", () => {
  const CROWD = 250;
  const crowd = Array.from({ length: CROWD }, (_, index) => `crowd-${index}`);

  /** Transfers of long ago that the nodes never agree about. */
  async function disputed(): Promise<Context> {
    const row = { transferIndex: 0, slot: 1n, amountMicroUsdc: 1n, finality: "confirmed", late: false } as const;
    await world.db.insert(inboundTransfers).values(crowd.map((signature) => ({ ...row, signature, createdAt: 1 })));
    return chainThat({
      transaction: async (signature, ...asked) => {
        if (crowd.includes(signature)) throw new ChainError("the nodes do not agree about a read");
        return world.ctx.chain.transaction(signature, ...asked);
      },
    });
  }

  test("those that the nodes never agree about hold up no other, and the sweep goes on at once", async () => {
    const { signature } = await paid();
    const context = await disputed();
    world.advance(4);
    const restsAfter = async () => {
      for (let sweeps = 1; ; sweeps++) {
        const outcome = await world.sweep(context);
        if (outcome !== "done" && outcome.dueAtMs > world.clock.nowMs()) return sweeps;
      }
    };
    expect(await restsAfter()).toBe(3);
    expect(await rowOf(signature)).toMatchObject({ finality: "finalized" });
    expect(await restsAfter()).toBe(3);
    await world.db.delete(inboundTransfers).where(inArray(inboundTransfers.signature, crowd));
    await world.catchUp();
    expect(await world.faults()).toEqual([]);
  });
});

async function end(reservation: Reservation, refundAddress: string | null, meteredUntilMs = world.clock.nowMs()) {
  await world.db.update(clusters).set({ refundAddress }).where(eq(clusters.id, reservation.clusterId));
  await world.db.transaction(async (tx) => {
    const cluster = await lockCluster(tx, reservation.clusterId);
    if (cluster === null) throw new Error("no cluster");
    await endCluster(world.ctx, tx, cluster, { status: "failed", reason: "gang_failed", meteredUntilMs });
  });
}
