/** The treasury's side of an x402 payment: it trusts no row, stores before it sends, and ends each claim one way or the other. */

import { createHash } from "node:crypto";
import { address, getBase58Decoder, getBase64Encoder, getTransactionDecoder, type KeyPairSigner } from "@solana/kit";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endCluster } from "../../api/clusters/end-cluster.ts";
import { expireUnpaid } from "../../api/clusters/expire-unpaid.ts";
import { lockCluster } from "../../api/clusters/open-cluster.ts";
import { clusters, payments, sponsoredTransactions, treasurySignings } from "../../api/db/tables.ts";
import { listUnallocated } from "../../api/payments/unallocated/list-unallocated.ts";
import { awaitSettlement } from "../../api/payments/x402/await-settlement.ts";
import { ChainError } from "../../api/ports/chain.ts";
import { processSponsored } from "../../api/treasury/sponsor/process-sponsored.ts";
import { rpcOf } from "../chain/wallet.ts";
import { signIn } from "../harness/account.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";
import { naming, type PaymentChanges, transactionFor } from "./payment.ts";

const PRICE = 5_000_000n;

let world: MoneyWorld;
let sponsor: string;
beforeAll(async () => {
  world = await newMoneyWorld(20);
  sponsor = world.ctx.sponsor?.address ?? "";
  world.chain.faucet({ address: address(sponsor), lamports: 1_000_000_000n });
});
afterAll(() => world.close());

interface Claim {
  readonly reservation: Reservation;
  readonly id: string;
  readonly payer: KeyPairSigner;
}

/** A reservation whose payment was claimed, whatever the transaction does. */
async function claim(changes: PaymentChanges = {}, payerHas = PRICE, price = PRICE): Promise<Claim> {
  const reservation = await world.reserve({ amountMicroUsdc: price });
  const payer = await world.wallet(payerHas);
  const { value } = await rpcOf(world.chain).getLatestBlockhash({ commitment: "confirmed" }).send();
  const requirements = {
    scheme: "exact",
    network: "",
    amount: price.toString(),
    asset: world.chain.usdcMint,
    payTo: world.treasury.address,
    maxTimeoutSeconds: 60,
    extra: { feePayer: sponsor, memo: "volley:test" },
  };
  const transactionBase64 = await transactionFor(requirements, payer, value.blockhash, changes);
  const { messageBytes, signatures } = getTransactionDecoder().decode(getBase64Encoder().encode(transactionBase64));
  const id = createHash("sha256").update(Uint8Array.from(messageBytes)).digest("hex");
  const signature = signatures[payer.address];
  await world.db.update(payments).set({ rail: "x402" }).where(eq(payments.id, reservation.paymentId));
  await world.db.insert(sponsoredTransactions).values({
    id,
    purpose: "x402",
    paymentId: reservation.paymentId,
    transactionBase64,
    payerSignature: signature == null ? id : getBase58Decoder().decode(signature),
    status: "requested",
    lastValidBlockHeight: value.lastValidBlockHeight,
    createdAt: world.clock.nowMs(),
  });
  return { reservation, id, payer };
}

const rowOf = async ({ id }: Claim) => {
  const [row] = await world.db.select().from(sponsoredTransactions).where(eq(sponsoredTransactions.id, id));
  if (row === undefined) throw new Error("the claim is gone");
  return row;
};
const signingsOf = ({ id }: Claim) =>
  world.db.select().from(treasurySignings).where(eq(treasurySignings.reference, id));
const step = ({ id }: Claim, parts: Partial<typeof world.ctx> = {}) => processSponsored(world.with(parts), id);

async function settle(one: Claim): Promise<void> {
  world.advance(1);
  await world.watch(one.reservation);
  await world.catchUp();
  await step(one);
}

test("signed, sent, seen, settled: the payment is the reservation's although it names no reference", async () => {
  const one = await claim();
  await step(one);
  expect(await rowOf(one)).toMatchObject({ status: "signed" });
  await settle(one);
  expect(await world.payment(one.reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: PRICE });
  expect(await rowOf(one)).toMatchObject({ status: "settled", reason: null });
  expect(await step(one)).toBe("done");
  expect(await world.faults()).toEqual([]);
});

test("found by the sweep alone, before anybody looked for it, it is still the reservation's", async () => {
  const one = await claim();
  await step(one);
  await world.catchUp();
  expect(await world.payment(one.reservation)).toMatchObject({ status: "settled" });
});

test("ten workers at once sign one transaction", async () => {
  const one = await claim();
  await Promise.allSettled(Array.from({ length: 10 }, () => step(one)));
  expect(await signingsOf(one)).toHaveLength(1);
  await settle(one);
  expect(await world.payment(one.reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: PRICE });
  expect(await world.faults()).toEqual([]);
});

test("above what may count at `confirmed`, it settles when it is final", async () => {
  const price = world.ctx.settings.confirmedLimitMicroUsdc + PRICE;
  const one = await claim({}, price, price);
  await step(one);
  world.advance(1);
  await world.watch(one.reservation);
  expect(await world.payment(one.reservation)).toMatchObject({ status: "detected", receivedMicroUsdc: price });
  world.advance(10);
  await world.watch(one.reservation);
  expect(await world.payment(one.reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: price });
});

test("a worker that was slow doesn't say that nothing comes of what another one has sent", async () => {
  const one = await claim();
  const slow = {
    ...world.ctx.chain,
    blockHeight: async () => {
      await step(one);
      world.advance(10);
      return 2n ** 60n;
    },
  };
  await step(one, { chain: slow });
  expect(await rowOf(one)).toMatchObject({ status: "signed" });
  await settle(one);
  expect(await rowOf(one)).toMatchObject({ status: "settled" });
});

test("what another worker has refused meanwhile is not sent", async () => {
  const one = await claim();
  const { sponsor: signer, chain } = world.ctx;
  let sent = 0;
  const slow = {
    ...signer,
    sign: async (...order: Parameters<NonNullable<typeof signer>["sign"]>) => {
      await world.db
        .update(sponsoredTransactions)
        .set({ status: "refused" })
        .where(eq(sponsoredTransactions.id, one.id));
      return await signer?.sign(...order);
    },
  } as typeof signer;
  await step(one, { sponsor: slow, chain: { ...chain, sendTransaction: async () => void sent++ } });
  expect(sent).toBe(0);
  expect(await signingsOf(one)).toEqual([]);
});

describe("a crash", () => {
  test("after signing and before storing sends nothing; the next try does", async () => {
    const one = await claim();
    const dying = { ...world.ctx.sponsor, sign: () => Promise.reject(new Error("killed")) } as never;
    await expect(step(one, { sponsor: dying })).rejects.toThrow("killed");
    expect(await rowOf(one)).toMatchObject({ status: "requested", signature: null });
    await step(one);
    await settle(one);
    expect(await world.payment(one.reservation)).toMatchObject({ status: "settled" });
  });

  test("after storing and before sending: the stored bytes are sent", async () => {
    const one = await claim();
    const deaf = { ...world.ctx.chain, sendTransaction: () => Promise.reject(new ChainError("lost")) };
    await step(one, { chain: deaf });
    const { signature } = await rowOf(one);
    world.advance(2);
    expect(await world.ctx.chain.signatureStatus(signature ?? "")).toBeNull();
    await step(one);
    await settle(one);
    expect(await rowOf(one)).toMatchObject({ status: "settled", signature });
  });

  test("after sending: it is found on chain, and not sent for another payment", async () => {
    const one = await claim();
    await step(one);
    world.advance(20);
    await step(one);
    expect(await signingsOf(one)).toHaveLength(1);
    await settle(one);
    expect(await world.payment(one.reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: PRICE });
  });
});

describe("whoever could write the rows still gets nothing signed but the payment of that amount to us", () => {
  test.each<[string, PaymentChanges | (() => PaymentChanges)]>([
    ["less", { amount: 1n }],
    ["to somebody else", () => ({ to: address("7VHUFJHWu2CuExkJcJrzhQPJ2oygupTWkL2A2For4BmE") })],
    [
      "an instruction that names the sponsor",
      () => ({ after: [naming(address("11111111111111111111111111111111"), address(sponsor))] }),
    ],
    ["a fee that costs more than it may", { units: 400_000, priceMicroLamports: 5_000_000n }],
  ])("%s", async (_, changed) => {
    const one = await claim(typeof changed === "function" ? changed() : changed);
    expect(await step(one)).toBe("done");
    expect(await rowOf(one)).toMatchObject({ status: "refused", signature: null, signedBase64: null });
    expect((await rowOf(one)).reason).toBeTruthy();
    expect(await signingsOf(one)).toEqual([]);
  });

  test("more than the day's fees", async () => {
    const one = await claim();
    const limits = { ...world.ctx.settings.limits, dayMaxLamports: 1n };
    expect(await step(one, { settings: { ...world.ctx.settings, limits } })).toBe("done");
    expect(await rowOf(one)).toMatchObject({ status: "refused", reason: expect.stringMatching(/day|limit/i) });
  });
});

describe("what won't come any more ends the reservation at once", () => {
  const expireNow = async ({ reservation }: Claim) => {
    const [cluster] = await world.db.select().from(clusters).where(eq(clusters.id, reservation.clusterId));
    if (cluster === undefined) throw new Error("no cluster");
    await expireUnpaid(world.ctx, cluster);
    return (await world.db.select().from(clusters).where(eq(clusters.id, reservation.clusterId)))[0]?.status;
  };

  test("a blockhash that expires before it is signed", async () => {
    const one = await claim();
    world.advance(200);
    expect(await step(one)).toBe("done");
    expect(await rowOf(one)).toMatchObject({ status: "refused" });
    expect(await expireNow(one)).toBe("expired");
  });

  test("bytes that never landed, once they can't", async () => {
    const one = await claim();
    const deaf = { ...world.ctx.chain, sendTransaction: () => Promise.reject(new ChainError("lost")) };
    await step(one, { chain: deaf });
    expect(await expireNow(one)).toBe("awaiting_payment");
    world.advance(150);
    await step(one, { chain: deaf });
    expect(await rowOf(one)).toMatchObject({ status: "signed" });
    world.advance(60);
    expect(await step(one, { chain: deaf })).toBe("done");
    expect(await rowOf(one)).toMatchObject({ status: "failed", reason: expect.stringMatching(/expired/) });
    expect(await expireNow(one)).toBe("expired");
    expect(await world.faults()).toEqual([]);
  });

  test("a reservation that has ended is not paid for any more", async () => {
    const one = await claim();
    await world.db
      .update(payments)
      .set({ expiresAt: world.clock.nowMs() })
      .where(eq(payments.id, one.reservation.paymentId));
    expect(await step(one)).toBe("done");
    expect(await rowOf(one)).toMatchObject({ status: "refused", signature: null });
  });
});

async function end({ reservation }: Claim): Promise<void> {
  await world.db.transaction(async (tx) => {
    const cluster = await lockCluster(tx, reservation.clusterId);
    if (cluster === null) throw new Error("no such cluster");
    const meteredUntilMs = world.clock.nowMs();
    await endCluster(world.ctx, tx, cluster, { status: "expired", reason: "unpaid", meteredUntilMs });
  });
}

test("of a reservation that has ended nobody is told that no money was taken while it may land, or when it has", async () => {
  const one = await claim();
  await step(one);
  await end(one);
  await awaitSettlement(world.ctx, one.reservation.clusterId);
  await settle(one);
  expect(await rowOf(one)).toMatchObject({ status: "settled" });
  expect(await world.payment(one.reservation)).toMatchObject({ status: "expired", receivedMicroUsdc: PRICE });
  await awaitSettlement(world.ctx, one.reservation.clusterId);
  expect(await world.faults()).toEqual([]);

  const unsigned = await claim();
  await end(unsigned);
  const { clusterId } = unsigned.reservation;
  await expect(awaitSettlement(world.ctx, clusterId)).rejects.toMatchObject({ code: "payment_failed" });
});

test("where no sponsor's key is, somebody else's worker does it", async () => {
  const one = await claim();
  expect(await step(one, { sponsor: null })).toEqual({ dueAtMs: world.clock.nowMs() + 60_000 });
  expect(await rowOf(one)).toMatchObject({ status: "requested" });
});

describe("a facilitator that refuses what it has sent or will send", () => {
  /** Lands the payment as a facilitator would. */
  async function land({ id, reservation }: Claim): Promise<void> {
    const order = { payTo: world.treasury.address, amountMicroUsdc: PRICE, reference: null };
    const { transactionBase64 } = await rowOf({ id, reservation } as Claim);
    const signed = await world.ctx.sponsor?.sign(transactionBase64, order);
    await world.ctx.chain.sendTransaction(signed?.transactionBase64 ?? "");
    world.advance(1);
  }
  const refusingAfter = (sends: () => Promise<void>) => ({
    sponsor: null,
    facilitator: {
      settle: async () => {
        await sends();
        return { settled: false as const, reason: "it took too long" };
      },
    },
  });

  test("is not believed about money that is there", async () => {
    const one = await claim();
    const sends = async () => {
      await land(one);
      await world.sweep();
    };
    await step(one, refusingAfter(sends));
    expect(await rowOf(one)).toMatchObject({ status: "signed" });
    await world.catchUp();
    await step(one, refusingAfter(sends));
    expect(await rowOf(one)).toMatchObject({ status: "settled" });
  });

  test("leaves the late money to its payer, who was told that none was taken and holds no secret of the cluster", async () => {
    const one = await claim();
    await step(
      one,
      refusingAfter(async () => undefined),
    );
    expect(await rowOf(one)).toMatchObject({ status: "failed" });
    await land(one);
    await world.catchUp();
    const who = await signIn(world.ctx, one.payer);
    const { data } = await listUnallocated(who.as(), { limit: 5 });
    expect(data).toMatchObject([{ amount: { amount: "5.000000" }, source: one.payer.address, claimed: false }]);
    expect(await world.faults()).toEqual([]);
  });

  test("has the late money sent to the refund address that was set", async () => {
    const one = await claim();
    const { clusterId } = one.reservation;
    await world.db.update(clusters).set({ refundAddress: one.payer.address }).where(eq(clusters.id, clusterId));
    await step(
      one,
      refusingAfter(async () => undefined),
    );
    await land(one);
    await world.catchUp();
    expect(await world.payment(one.reservation)).toMatchObject({ receivedMicroUsdc: PRICE });
  });
});
