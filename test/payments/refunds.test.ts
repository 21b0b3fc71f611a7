import { getCreateAssociatedTokenIdempotentInstruction } from "@solana-program/token";
import { parseId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endCluster } from "../../api/clusters/end-cluster.ts";
import { lockCluster } from "../../api/clusters/open-cluster.ts";
import { refundAttempts } from "../../api/db/tables.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { associatedTokenAddress } from "../../api/local/chain/keys.ts";
import { cancelRefund } from "../../api/payments/refunds/cancel-refund.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import { getRefund } from "../../api/payments/refunds/get-refund.ts";
import { type Chain, ChainError } from "../../api/ports/chain.ts";
import type { RefundOrder } from "../../api/ports/treasury-signer.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { send, usdcAccountOf } from "../chain/wallet.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld, repeat } from "./world.ts";

const AMOUNT = 5_000_000n;
const SURPLUS = 3_000_000n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

/** A cluster with a credit, and a wallet that has no USDC. */
async function withCredit() {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  await world.pay(await world.wallet(), AMOUNT + SURPLUS, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  const receiver = await emptyWallet();
  const refund = await createRefund(world.holder(reservation, `refund of ${reservation.clusterId}`), {
    cluster_id: parseId("cluster", reservation.clusterId),
    to: receiver.address,
  });
  return { reservation, receiver, refund };
}

const usdcOf = async (owner: string) =>
  (await world.ctx.chain.tokenBalance(associatedTokenAddress(owner, world.chain.usdcMint), "finalized")) ?? 0n;
const attemptsOf = (id: string) =>
  world.db.select().from(refundAttempts).where(eq(refundAttempts.refundId, id)).orderBy(refundAttempts.attempt);
const chainThat = (parts: Partial<Chain>) => world.with({ chain: { ...world.ctx.chain, ...parts } });

/** A wallet with a USDC account that holds nothing. */
async function emptyWallet() {
  const wallet = await world.wallet(0n);
  const ata = await usdcAccountOf(world.chain, wallet.address);
  const { usdcMint: mint } = world.chain;
  await send(world.chain, wallet, [
    getCreateAssociatedTokenIdempotentInstruction({ payer: wallet, ata, owner: wallet.address, mint }),
  ]);
  world.advance(1);
  return wallet;
}

describe("a refund", () => {
  test("arrives once, in full", async () => {
    const { reservation, receiver, refund } = await withCredit();
    expect(refund).toMatchObject({ status: "pending", amount: { amount: "3.000000" }, to: receiver.address });
    await world.catchUp();
    await world.finishRefund(refund.id);
    expect(await usdcOf(receiver.address)).toBe(SURPLUS);
    const seen = await getRefund(world.holder(reservation), { id: refund.id });
    expect(seen).toMatchObject({ status: "finalized" });
    expect(await attemptsOf(refund.id)).toMatchObject([{ signature: seen.signature, deadAt: null }]);
    expect((await balanceOf(world.db, `refund:${refund.id}`)).postedMicroUsdc).toBe(0n);
    await world.catchUp();
    expect(await world.faults()).toEqual([]);
  });

  test("waits until the money that it sends on is final", async () => {
    const { refund } = await withCredit();
    await processRefund(world.ctx, refund.id);
    expect(await attemptsOf(refund.id)).toEqual([]);
    await world.catchUp();
    await processRefund(world.ctx, refund.id);
    expect(await attemptsOf(refund.id)).toHaveLength(1);
    await world.finishRefund(refund.id);
  });

  test("is sent as the same bytes until they land, however many answers are lost", async () => {
    const { receiver, refund } = await withCredit();
    await world.catchUp();
    const sent: string[] = [];
    let calls = 0;
    const context = chainThat({
      sendTransaction: async (bytes) => {
        sent.push(bytes);
        // The first three never reach the node; of the fourth only the answer is lost.
        if (++calls === 4) await world.ctx.chain.sendTransaction(bytes);
        throw new ChainError("the answer was lost");
      },
    });
    await world.finishRefund(refund.id, context);
    expect(new Set(sent).size).toBe(1);
    expect(await attemptsOf(refund.id)).toHaveLength(1);
    expect(await usdcOf(receiver.address)).toBe(SURPLUS);
  });

  test("is signed anew only when the old bytes can't land any more", async () => {
    const { receiver, refund } = await withCredit();
    await world.catchUp();
    const lost: string[] = [];
    const dead = chainThat({
      sendTransaction: async (bytes) => {
        lost.push(bytes);
      },
    });
    // Nothing is sent; the blockhash lives for 150 blocks, and the node must be far beyond at `finalized`.
    for (let step = 0; (await attemptsOf(refund.id)).length < 2; step++) {
      if (step > 200) throw new Error("it was never signed anew");
      const [first] = await attemptsOf(refund.id);
      if (first?.deadAt != null) {
        const height = await world.ctx.chain.blockHeight("finalized");
        expect(height).toBeGreaterThan(first.lastValidBlockHeight);
      }
      await processRefund(dead, refund.id);
      world.advance(2);
    }
    await world.finishRefund(refund.id);
    const [first, second] = await attemptsOf(refund.id);
    expect(first?.deadAt).not.toBeNull();
    expect(second?.signature).not.toBe(first?.signature);
    // The bytes of the first attempt come after all: the chain refuses them, and nothing is paid twice.
    await expect(world.ctx.chain.sendTransaction(lost[0] ?? "")).rejects.toThrow(ChainError);
    world.advance(10);
    expect(await usdcOf(receiver.address)).toBe(SURPLUS);
    expect(await world.faults()).toEqual([]);
  });

  test("that landed without our noticing is not sent again, even if one index of the node lacks it", async () => {
    const { receiver, refund } = await withCredit();
    await world.catchUp();
    await processRefund(world.ctx, refund.id);
    const blind = chainThat({
      signatureStatus: async () => null,
      transaction: async (signature, commitment) =>
        commitment === "finalized" ? null : world.ctx.chain.transaction(signature, commitment),
      sendTransaction: async () => undefined,
    });
    for (let step = 0; step < 100; step++) {
      await processRefund(blind, refund.id);
      world.advance(4);
    }
    expect(await attemptsOf(refund.id)).toHaveLength(1);
    await world.finishRefund(refund.id);
    expect(await usdcOf(receiver.address)).toBe(SURPLUS);
  });

  test("two workers at once store one attempt and send only that", async () => {
    const { receiver, refund } = await withCredit();
    await world.catchUp();
    const sent = new Set<string>();
    let asked = 0;
    const context = chainThat({
      // Each worker gets a blockhash of its own, so their bytes differ.
      latestBlockhash: async () => {
        if (++asked % 2 === 0) world.advance(1);
        return world.ctx.chain.latestBlockhash();
      },
      sendTransaction: async (bytes) => {
        sent.add(bytes);
        await world.ctx.chain.sendTransaction(bytes);
      },
    });
    await Promise.all(Array.from({ length: 8 }, () => processRefund(context, refund.id)));
    expect(await attemptsOf(refund.id)).toHaveLength(1);
    expect(sent.size).toBe(1);
    await repeat(world, processRefund, refund.id, context);
    expect(await usdcOf(receiver.address)).toBe(SURPLUS);
    expect(await world.faults()).toEqual([]);
  });

  test("that fails on chain is signed anew when the fault is gone", async () => {
    const { receiver, refund } = await withCredit();
    await world.catchUp();
    const orders: RefundOrder[] = [];
    const { signer } = world.ctx;
    const context = world.with({
      chain: { ...world.ctx.chain, sendTransaction: async (bytes) => sendUnchecked(bytes) },
      signer: {
        address: signer.address,
        signAnchor: (order) => signer.signAnchor(order),
        signRefund: async (order) => {
          orders.push(order);
          // The first time more than there is, so that it lands and fails.
          return signer.signRefund(orders.length === 1 ? { ...order, amountMicroUsdc: 900_000_000n } : order);
        },
      },
    });
    await world.finishRefund(refund.id, context);
    expect(orders).toHaveLength(2);
    expect(await usdcOf(receiver.address)).toBe(SURPLUS);
    expect(await world.faults()).toEqual([]);
  });
});

async function sendUnchecked(bytes: string): Promise<void> {
  world.chain.submit(Uint8Array.from(Buffer.from(bytes, "base64")));
}

describe("refunds.create", () => {
  test("repeated with its key answers the same and sends nothing twice", async () => {
    const { reservation, receiver, refund } = await withCredit();
    const again = await createRefund(world.holder(reservation, `refund of ${reservation.clusterId}`), {
      cluster_id: parseId("cluster", reservation.clusterId),
      to: receiver.address,
    });
    expect(again).toEqual(refund);
    expect(await world.refunds(reservation)).toHaveLength(1);
  });

  test("doesn't touch money that is meant for an open payment", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    const payer = await world.wallet();
    await world.pay(payer, 1_000_000n, [reservation.reference]);
    world.advance(1);
    await world.watch(reservation);
    await expect(create(reservation, payer.address)).rejects.toMatchObject({ code: "nothing_to_refund" });
  });

  test("is for the holder of the cluster's secret alone", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    const input = {
      cluster_id: parseId("cluster", reservation.clusterId),
      to: (await world.wallet()).address,
    };
    const stranger = world.as({ kind: "bearer", tokenHash: "stranger" }, "key");
    await expect(createRefund(stranger, input)).rejects.toMatchObject({ code: "not_found" });
    await expect(createRefund(world.as({ kind: "anonymous" }, "key"), input)).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });
});

const create = (reservation: Reservation, to: string) =>
  createRefund(world.holder(reservation, `to ${to} of ${reservation.clusterId}`), {
    cluster_id: parseId("cluster", reservation.clusterId),
    to,
  });

async function failCluster(reservation: Reservation): Promise<void> {
  await world.db.transaction(async (tx) => {
    const cluster = await lockCluster(tx, reservation.clusterId);
    if (cluster === null) throw new Error("no cluster");
    const meteredUntilMs = world.clock.nowMs();
    await endCluster(world.ctx, tx, cluster, { status: "failed", reason: "gang_failed", meteredUntilMs });
  });
}

test("what an ended cluster didn't use goes to its refund address, and its bill follows the refund", async () => {
  const receiver = await emptyWallet();
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, refundAddress: receiver.address });
  await world.pay(await world.wallet(), AMOUNT, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  await failCluster(reservation);
  const before = await world.cluster(reservation);
  expect(before.bill).toMatchObject({ charged: { amount: "0.000000" }, refund: { status: "pending" } });
  await world.catchUp();
  await world.finishRefund(before.bill?.refund.id ?? "");
  const { bill } = await world.cluster(reservation);
  expect(bill?.refund).toMatchObject({ status: "finalized", signature: expect.any(String) });
  expect(await usdcOf(receiver.address)).toBe(AMOUNT);
});

test("opens no token account at the treasury's cost: the money becomes credit", async () => {
  const stranger = await world.wallet(0n);
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, refundAddress: stranger.address });
  await world.pay(await world.wallet(), AMOUNT, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  await failCluster(reservation);
  await world.catchUp();
  const solOfTreasury = () => world.chain.call("getBalance", [world.treasury.address]);
  const before = solOfTreasury();
  const [refund] = await world.refunds(reservation);
  expect(await processRefund(world.ctx, refund?.id ?? "")).toBe("done");
  expect(solOfTreasury()).toEqual(before);
  expect((await world.cluster(reservation)).bill).toMatchObject({ refund: { id: null, status: "credited" } });
  await expect(create(reservation, stranger.address)).rejects.toMatchObject({ code: "address_invalid" });
});

test("money that was to go to a token account becomes credit, for its holder to name a wallet", async () => {
  const receiver = await world.wallet();
  const swallower = await writeKeyOfTokenAccount();
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, refundAddress: swallower });
  await world.pay(await world.wallet(), AMOUNT, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  await failCluster(reservation);
  await world.catchUp();
  const [refund] = await world.refunds(reservation);
  expect(await processRefund(world.ctx, refund?.id ?? "")).toBe("done");
  expect(await world.cluster(reservation)).toMatchObject({
    refundAddress: null,
    bill: { refund: { id: null, status: "credited", amount: { amount: "5.000000" } } },
  });
  const directed = await create(reservation, receiver.address);
  await world.finishRefund(directed.id);
  expect((await world.cluster(reservation)).bill?.refund).toMatchObject({ id: directed.id, status: "finalized" });
  expect(await world.faults()).toEqual([]);
});

test("what came while a refund was under way is on the bill when that refund is turned back", async () => {
  const stranger = await world.wallet(0n);
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, refundAddress: stranger.address });
  const payer = await world.wallet();
  await world.pay(payer, AMOUNT, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  await failCluster(reservation);
  await world.pay(payer, 3_000_000n, [reservation.reference]);
  await world.catchUp();
  const [refund] = await world.refunds(reservation);
  expect(await processRefund(world.ctx, refund?.id ?? "")).toBe("done");
  expect((await world.cluster(reservation)).bill).toMatchObject({
    charged: { amount: "0.000000" },
    paid: { amount: "8.000000" },
    refund: { id: null, to: "credit", amount: { amount: "8.000000" } },
  });
});

describe("what was sent back before the end is not on the bill as paid", () => {
  const billOf = async (reservation: Reservation) => (await world.cluster(reservation)).bill;

  test("so that the bill adds up, wherever the rest goes", async () => {
    const receiver = await emptyWallet();
    for (const where of [{}, { refundAddress: receiver.address }]) {
      const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, ...where });
      await world.pay(await world.wallet(), AMOUNT + SURPLUS, [reservation.reference]);
      world.advance(1);
      await world.watch(reservation);
      const before = await create(reservation, receiver.address);
      await world.catchUp();
      await world.finishRefund(before.id);
      await failCluster(reservation);
      expect(await billOf(reservation)).toMatchObject({
        charged: { amount: "0.000000" },
        paid: { amount: "5.000000" },
        refund: { amount: { amount: "5.000000" } },
      });
      await world.pay(await world.wallet(), 1_000_000n, [reservation.reference]);
      await world.catchUp();
      const more = "refundAddress" in where ? "5.000000" : "6.000000";
      expect(await billOf(reservation)).toMatchObject({ paid: { amount: more }, refund: { amount: { amount: more } } });
    }
  });

  test("and is paid again when it was taken back after all", async () => {
    const { reservation, refund } = await withCredit();
    await failCluster(reservation);
    expect(await billOf(reservation)).toMatchObject({ paid: { amount: "5.000000" } });
    await cancelRefund(world.holder(reservation, `cancel ${refund.id}`), { id: parseId("refund", refund.id) });
    expect(await billOf(reservation)).toMatchObject({
      paid: { amount: "8.000000" },
      refund: { id: null, to: "credit", amount: { amount: "8.000000" } },
    });
    expect(await world.faults()).toEqual([]);
  });
});

/** A token account at an address that a key exists for, as auxiliary accounts are. */
async function writeKeyOfTokenAccount(): Promise<string> {
  const { svm } = world.chain.state;
  const { address } = await world.wallet();
  const account = svm.account(world.treasuryToken);
  if (account === null) throw new Error("the treasury has no token account");
  svm.setAccount(address, account);
  world.advance(1);
  return address;
}
