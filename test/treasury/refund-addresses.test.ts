/** Where refunds may go, and when: proved addresses at once, others after a delay in which they can be taken back. */
import { createKeyPairSignerFromPrivateKeyBytes, getBase58Decoder, type KeyPairSigner, signBytes } from "@solana/kit";
import { getCreateAssociatedTokenIdempotentInstruction } from "@solana-program/token";
import { parseId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { endCluster } from "../../api/clusters/end-cluster.ts";
import { lockCluster } from "../../api/clusters/open-cluster.ts";
import { type Context, newId } from "../../api/context.ts";
import { customers, refundAttempts, refunds, sessions } from "../../api/db/tables.ts";
import { createChallenge } from "../../api/identity/create-challenge.ts";
import { customerAccount, openAccount } from "../../api/ledger/accounts.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { post } from "../../api/ledger/post.ts";
import { associatedTokenAddress } from "../../api/local/chain/keys.ts";
import { cancelRefund } from "../../api/payments/refunds/cancel-refund.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import { getRefund } from "../../api/payments/refunds/get-refund.ts";
import { listRefunds } from "../../api/payments/refunds/list-refunds.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { send, usdcAccountOf } from "../chain/wallet.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";

const DELAY_SECONDS = 86_400;
const BALANCE = 10_000_000n;
const PRICE = 5_000_000n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(20);
  // What balances are paid from.
  await world.pay(await world.wallet(1_000_000_000n), 1_000_000_000n);
  await world.catchUp();
});
afterAll(() => world.close());

const delayed = (ctx: Context): Context => ({
  ...ctx,
  settings: { ...ctx.settings, refundDelaySeconds: DELAY_SECONDS },
});

/** A wallet whose key signs messages, with an empty USDC account. */
async function newWallet(): Promise<KeyPairSigner> {
  const wallet = await createKeyPairSignerFromPrivateKeyBytes(strongRandom().bytes(32));
  const opener = await world.wallet(0n);
  const ata = await usdcAccountOf(world.chain, wallet.address);
  const { usdcMint: mint } = world.chain;
  await send(world.chain, opener, [
    getCreateAssociatedTokenIdempotentInstruction({ payer: opener, ata, owner: wallet.address, mint }),
  ]);
  world.advance(1);
  return wallet;
}

/** An account with a balance, signed in. */
async function newAccount() {
  const wallet = await newWallet();
  const id = newId(world.ctx, "account");
  const tokenHash = `hash of ${id}`;
  const nowMs = world.clock.nowMs();
  await world.db.insert(customers).values({ id, wallet: wallet.address, createdAt: nowMs });
  await world.db
    .insert(sessions)
    .values({ tokenHash, customerId: id, createdAt: nowMs, expiresAt: nowMs + 1_000 * DELAY_SECONDS * 30 });
  const account = customerAccount(id);
  await world.db.transaction(async (tx) => {
    await openAccount(world.ctx, tx, account, "customer");
    const cause = { reason: "test", reference: id, amountMicroUsdc: BALANCE };
    await post(world.ctx, tx, { debit: "unallocated:usdc", credit: account, ...cause });
  });
  const as = (key: string | null = null) => delayed(world.as({ kind: "bearer", tokenHash }, key));
  return { id, wallet, as, available: async () => (await balanceOf(world.db, account)).availableMicroUsdc };
}

let keys = 0;
const freshKey = () => `key-${++keys}`;
const usdcOf = async (owner: string) =>
  (await world.ctx.chain.tokenBalance(associatedTokenAddress(owner, world.chain.usdcMint), "finalized")) ?? 0n;
const attemptsOf = (id: string) => world.db.select().from(refundAttempts).where(eq(refundAttempts.refundId, id));
const rowOf = async (id: string) => (await world.db.select().from(refunds).where(eq(refunds.id, id)))[0];

async function proofOf(wallet: KeyPairSigner) {
  const { nonce, message } = await createChallenge(world.ctx, { address: wallet.address, purpose: "refund_address" });
  const signature = await signBytes(wallet.keyPair.privateKey, new TextEncoder().encode(message));
  return { nonce, signature: getBase58Decoder().decode(signature) };
}

async function withCredit(options: { refundAddress?: string } = {}): Promise<Reservation> {
  const reservation = await world.reserve({ amountMicroUsdc: PRICE, ...options });
  await world.pay(await world.wallet(), PRICE + 3_000_000n, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  await world.catchUp();
  return reservation;
}

describe("of the balance", () => {
  test("to the account's own wallet it goes at once, in part or whole", async () => {
    const { wallet, as, available } = await newAccount();
    const part = await createRefund(as(freshKey()), { to: wallet.address, amount: "4" });
    expect(part).toMatchObject({ cluster_id: null, amount: { amount: "4.000000" }, status: "pending" });
    expect(await available()).toBe(6_000_000n);
    await world.finishRefund(part.id);
    expect(await usdcOf(wallet.address)).toBe(4_000_000n);
    const rest = await createRefund(as(freshKey()), { to: wallet.address });
    await world.finishRefund(rest.id);
    expect(await usdcOf(wallet.address)).toBe(BALANCE);
    const nothing = createRefund(as(freshKey()), { to: wallet.address });
    await expect(nothing).rejects.toMatchObject({ code: "nothing_to_refund" });
    const listed = await listRefunds(as(), { limit: 1 });
    expect(listed.data.map(({ id }) => id)).toEqual([rest.id]);
    const next = await listRefunds(as(), { limit: 5, cursor: listed.next_cursor ?? "" });
    expect(next).toMatchObject({ data: [{ id: part.id, status: "finalized" }], next_cursor: null });
    await world.catchUp();
    expect(await world.faults()).toEqual([]);
  });

  test("it is balance again when the account is frozen before anything is signed, and goes on when something was", async () => {
    const { id, wallet, as, available } = await newAccount();
    const freeze = (frozenAt: number | null) =>
      world.db.update(customers).set({ frozenAt, frozenReason: "disputed" }).where(eq(customers.id, id));
    const unsigned = await createRefund(as(freshKey()), { to: wallet.address, amount: "4" });
    await freeze(1);
    await processRefund(world.ctx, unsigned.id);
    expect(await rowOf(unsigned.id)).toMatchObject({ status: "cancelled" });
    expect(await attemptsOf(unsigned.id)).toEqual([]);
    expect(await available()).toBe(BALANCE);

    await freeze(null);
    const signed = await createRefund(as(freshKey()), { to: wallet.address, amount: "4" });
    await processRefund(world.ctx, signed.id);
    await freeze(1);
    // What has gone out goes on.
    await world.finishRefund(signed.id);
    expect(await usdcOf(wallet.address)).toBe(4_000_000n);
    await freeze(null);
    await world.catchUp();
    expect(await world.faults()).toEqual([]);
  });

  test("to any other address it waits, and nothing is signed before", async () => {
    const { as } = await newAccount();
    const stranger = await newWallet();
    const refund = await createRefund(as(freshKey()), { to: stranger.address, amount: "1" });
    const notBeforeMs = world.clock.nowMs() + DELAY_SECONDS * 1000;
    expect(Date.parse(refund.not_before)).toBe(notBeforeMs);
    world.clock.pass(DELAY_SECONDS * 1000 - 1);
    expect(await processRefund(world.ctx, refund.id)).toEqual({ dueAtMs: notBeforeMs });
    expect(await attemptsOf(refund.id)).toEqual([]);
    world.clock.pass(1);
    await world.finishRefund(refund.id);
    expect(await usdcOf(stranger.address)).toBe(1_000_000n);
  });

  test("with the address's proof it goes at once, each proof once", async () => {
    const { as } = await newAccount();
    const other = await newWallet();
    const proof = await proofOf(other);
    const input = { to: other.address, amount: "1", proof };
    const key = freshKey();
    const refund = await createRefund(as(key), input);
    expect(Date.parse(refund.not_before)).toBe(world.clock.nowMs());
    expect(await createRefund(as(key), input)).toEqual(refund);
    await expect(createRefund(as(freshKey()), input)).rejects.toMatchObject({ code: "challenge_invalid" });
    await world.finishRefund(refund.id);
    expect(await usdcOf(other.address)).toBe(1_000_000n);
  });

  test("a proof of another address, or another's signature, is none", async () => {
    const { as, available } = await newAccount();
    const [to, other] = [await newWallet(), await newWallet()];
    const foreign = createRefund(as(freshKey()), { to: to.address, proof: await proofOf(other) });
    await expect(foreign).rejects.toMatchObject({ code: "signature_invalid" });
    const { nonce } = await proofOf(to);
    const { signature } = await proofOf(other);
    const forged = createRefund(as(freshKey()), { to: to.address, proof: { nonce, signature } });
    await expect(forged).rejects.toMatchObject({ code: "signature_invalid" });
    const signIn = await createChallenge(world.ctx, { address: to.address, purpose: "sign_in" });
    const signed = await signBytes(to.keyPair.privateKey, new TextEncoder().encode(signIn.message));
    const reused = { nonce: signIn.nonce, signature: getBase58Decoder().decode(signed) };
    await expect(createRefund(as(freshKey()), { to: to.address, proof: reused })).rejects.toMatchObject({
      code: "challenge_invalid",
    });
    expect(await available()).toBe(BALANCE);
  });

  test("fifty identical requests have one effect, and twenty different ones take no more than there is", async () => {
    const { wallet, as, available } = await newAccount();
    const key = freshKey();
    const same = await Promise.all(
      Array.from({ length: 50 }, () => createRefund(as(key), { to: wallet.address, amount: "1" })),
    );
    expect(new Set(same.map(({ id }) => id)).size).toBe(1);
    expect(await available()).toBe(BALANCE - 1_000_000n);
    const others = await Promise.allSettled(
      Array.from({ length: 20 }, () => createRefund(as(freshKey()), { to: wallet.address, amount: "2" })),
    );
    expect(others.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
    for (const other of others) {
      if (other.status === "rejected") expect(other.reason).toMatchObject({ code: "insufficient_balance" });
    }
    expect(await available()).toBe(1_000_000n);
    expect(await world.faults()).toEqual([]);
  });

  test("not of a frozen account, not with a cluster's secret, not of a part of a cluster's credit", async () => {
    const { id, wallet, as } = await newAccount();
    const reservation = await withCredit();
    await expect(createRefund(world.holder(reservation, freshKey()), { to: wallet.address })).rejects.toMatchObject({
      code: "credential_invalid",
    });
    const part = { cluster_id: parseId("cluster", reservation.clusterId), to: wallet.address, amount: "1" };
    await expect(createRefund(world.holder(reservation, freshKey()), part)).rejects.toMatchObject({
      code: "invalid_field",
    });
    await world.db.update(customers).set({ frozenAt: 1, frozenReason: "disputed" }).where(eq(customers.id, id));
    await expect(createRefund(as(freshKey()), { to: wallet.address })).rejects.toMatchObject({
      code: "account_frozen",
    });
  });
});

describe("of a cluster's credit", () => {
  const create = (reservation: Reservation, to: string) =>
    createRefund(delayed(world.holder(reservation, freshKey())), {
      cluster_id: parseId("cluster", reservation.clusterId),
      to,
    });

  test("to the address that was set at the reservation it goes at once, to the payer's it waits", async () => {
    const [home, elsewhere] = [await newWallet(), await newWallet()];
    const known = await create(await withCredit({ refundAddress: home.address }), home.address);
    expect(Date.parse(known.not_before)).toBe(world.clock.nowMs());
    const unknown = await create(await withCredit({ refundAddress: home.address }), elsewhere.address);
    expect(Date.parse(unknown.not_before)).toBe(world.clock.nowMs() + DELAY_SECONDS * 1000);
  });

  test("cancelled, it is credit again, once, and can be sent elsewhere", async () => {
    const [thief, home] = [await newWallet(), await newWallet()];
    const reservation = await withCredit();
    const refund = await create(reservation, thief.address);
    const cancelled = await cancelRefund(world.holder(reservation), { id: refund.id });
    expect(cancelled.status).toBe("cancelled");
    expect(await cancelRefund(world.holder(reservation), { id: refund.id })).toEqual(cancelled);
    expect((await balanceOf(world.db, customerAccount(reservation.clusterId))).availableMicroUsdc).toBe(3_000_000n);
    world.clock.pass(DELAY_SECONDS * 1000);
    expect(await processRefund(world.ctx, refund.id)).toBe("done");
    expect(await usdcOf(thief.address)).toBe(0n);
    const input = {
      cluster_id: parseId("cluster", reservation.clusterId),
      to: home.address,
      proof: await proofOf(home),
    };
    const again = await createRefund(delayed(world.holder(reservation, freshKey())), input);
    await world.finishRefund(again.id);
    expect(await usdcOf(home.address)).toBe(3_000_000n);
    await world.catchUp();
    expect(await world.faults()).toEqual([]);
  });

  test("of an ended cluster, cancelled, isn't sent to that address again when a stranger pays dust in", async () => {
    const [lost, stranger] = [await newWallet(), await world.wallet()];
    const reservation = await withCredit({ refundAddress: lost.address });
    await world.db.transaction(async (tx) => {
      const cluster = await lockCluster(tx, reservation.clusterId);
      if (cluster === null) throw new Error("no such cluster");
      const meteredUntilMs = world.clock.nowMs();
      await endCluster(world.ctx, tx, cluster, { status: "stopping", reason: "released", meteredUntilMs });
    });
    const [refund] = await world.refunds(reservation);
    const id = parseId("refund", refund?.id ?? "");
    await cancelRefund(world.holder(reservation), { id });
    await world.pay(stranger, 1n, [reservation.reference]);
    await world.catchUp();
    expect((await world.refunds(reservation)).map(({ status }) => status)).toEqual(["cancelled"]);
    const { bill, refundAddress } = await world.cluster(reservation);
    expect(refundAddress).toBeNull();
    expect(bill).toMatchObject({ refund: { to: "credit", amount: { amount: expect.stringMatching(/00001$/) } } });
    expect(await world.faults()).toEqual([]);
  });

  test("what was signed can't be cancelled, nor what is somebody else's", async () => {
    const home = await newWallet();
    const reservation = await withCredit({ refundAddress: home.address });
    const refund = await create(reservation, home.address);
    const stranger = world.as({ kind: "bearer", tokenHash: "stranger" });
    await expect(cancelRefund(stranger, { id: refund.id })).rejects.toMatchObject({ code: "not_found" });
    await processRefund(world.ctx, refund.id);
    expect(await attemptsOf(refund.id)).toHaveLength(1);
    const cancel = () => cancelRefund(world.holder(reservation), { id: refund.id });
    await expect(cancel()).rejects.toMatchObject({ code: "refund_not_cancellable" });
    await world.finishRefund(refund.id);
    await expect(cancel()).rejects.toMatchObject({ code: "refund_not_cancellable" });
  });
});

test("cancelling and signing at once: one of the two wins, whichever", async () => {
  const outcomes = new Set<string>();
  for (let round = 0; round < 12; round++) {
    const { wallet, as, available } = await newAccount();
    const refund = await createRefund(as(freshKey()), { to: wallet.address });
    const cancels = Array.from({ length: 4 }, () => cancelRefund(as(), { id: refund.id }));
    const signings = Array.from({ length: 4 }, () => processRefund(world.ctx, refund.id));
    await Promise.allSettled(round % 2 === 0 ? [...cancels, ...signings] : [...signings, ...cancels]);
    const status = (await rowOf(refund.id))?.status ?? "";
    outcomes.add(status);
    if (status === "cancelled") {
      expect(await attemptsOf(refund.id)).toEqual([]);
      expect(await available()).toBe(BALANCE);
    } else {
      await world.finishRefund(refund.id);
      expect(await available()).toBe(0n);
      expect(await usdcOf(wallet.address)).toBe(BALANCE);
    }
    expect(await getRefund(as(), { id: refund.id })).toMatchObject({
      status: status === "cancelled" ? "cancelled" : "finalized",
    });
  }
  expect(outcomes.has("cancelled")).toBe(true);
  await world.catchUp();
  expect(await world.faults()).toEqual([]);
});
