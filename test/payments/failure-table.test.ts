/**
 * Ways in which payments on chain go wrong, one by one, each as a wallet would send it to the real virtual machine.
 * Forks, silent and lying nodes, and refunds that expire are in `finality`, `node-faults.attack` and `refunds`.
 */
import {
  appendTransactionMessageInstructions,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  type KeyPairSigner,
  type Nonce,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingDurableNonce,
  signTransactionMessageWithSigners,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import {
  fetchNonce,
  getCreateAccountInstruction,
  getInitializeNonceAccountInstruction,
  SYSTEM_PROGRAM_ADDRESS,
} from "@solana-program/system";
import { and, eq } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { events, inboundTransfers } from "../../api/db/tables.ts";
import { customerAccount } from "../../api/ledger/accounts.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { claimUnallocated } from "../../api/payments/unallocated/claim-unallocated.ts";
import { rpcOf } from "../chain/wallet.ts";
import { signIn } from "../harness/account.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const PRICE = 5_000_000n;
const NONCE_BYTES = 80n;
const DAY_MS = 86_400_000;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(60);
});
afterEach(async () => {
  await world.catchUp();
  expect(await world.faults()).toEqual([]);
});
afterAll(() => world.close());

const reserve = () => world.reserve({ amountMicroUsdc: PRICE });
const look = async (...reservations: Reservation[]) => {
  world.advance(1);
  for (const reservation of reservations) await world.watch(reservation);
};
const stateOf = async (reservation: Reservation) => {
  const { status, receivedMicroUsdc } = await world.payment(reservation);
  return { status, received: receivedMicroUsdc };
};
const creditOf = async ({ clusterId }: Reservation) =>
  (await balanceOf(world.db, customerAccount(clusterId))).availableMicroUsdc;
const noticesOf = async (reservation: Reservation) => (await world.notices(reservation)).map(({ code }) => code).sort();
const SETTLED = { status: "settled", received: PRICE };
const PENDING = { status: "pending", received: 0n };

describe("one payment, many looks", () => {
  test.each([2, 50])("%i looks at once at one transaction credit it once", async (looks) => {
    const reservation = await reserve();
    await world.pay(await world.wallet(), PRICE, [reservation.reference]);
    world.advance(1);
    // Whoever comes second has nothing to do, and nothing to complain about.
    await Promise.all(Array.from({ length: looks }, () => world.watch(reservation)));
    await world.watch(reservation);
    expect(await stateOf(reservation)).toEqual(SETTLED);
    const isIts = eq(inboundTransfers.paymentId, reservation.paymentId);
    expect(await world.db.select().from(inboundTransfers).where(isIts)).toHaveLength(1);
  });

  test("many sweeps at once over a transfer without a reference write it down once", async () => {
    const signature = await world.pay(await world.wallet(), PRICE);
    world.advance(10);
    await Promise.all(Array.from({ length: 20 }, () => world.sweep()));
    const isIt = eq(inboundTransfers.signature, String(signature));
    expect(await world.db.select().from(inboundTransfers).where(isIt)).toHaveLength(1);
  });
});

describe("one transaction, several payments", () => {
  test("one transfer with two references pays the first that it names, and the other is told", async () => {
    const [one, other] = [await reserve(), await reserve()];
    await world.pay(await world.wallet(), PRICE, [one.reference, other.reference]);
    await look(other, one);
    expect([await stateOf(one), await stateOf(other)]).toEqual([SETTLED, PENDING]);
    expect(await noticesOf(other)).toEqual(["foreign_reference"]);
  });

  test("two transfers with a reference each pay each their own, also where the amounts could be summed", async () => {
    const [one, other] = [await reserve(), await reserve()];
    const payer = await world.wallet();
    await world.send(payer, [
      await world.transferTo(payer, 2n * PRICE, [one.reference]),
      await world.transferTo(payer, 1n, [other.reference]),
    ]);
    await look(one, other);
    expect(await stateOf(one)).toEqual({ status: "settled", received: 2n * PRICE });
    expect(await stateOf(other)).toMatchObject({ received: 1n });
    expect((await stateOf(other)).status).not.toBe("settled");
  });
});

describe("amounts", () => {
  test("a millionth too little stays open and says what is missing; the rest settles it", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    await world.pay(payer, PRICE - 1n, [reservation.reference]);
    await look(reservation);
    expect(await stateOf(reservation)).toEqual({ status: "detected", received: PRICE - 1n });
    expect(await noticesOf(reservation)).toEqual(["underpaid"]);
    await world.pay(payer, 1n, [reservation.reference]);
    await look(reservation);
    expect(await stateOf(reservation)).toEqual(SETTLED);
  });

  test("too little, and then nothing more: at the end it is credit", async () => {
    const reservation = await reserve();
    await world.pay(await world.wallet(), PRICE - 1n, [reservation.reference]);
    await look(reservation);
    world.clock.pass(reservation.expiresAtMs - world.clock.nowMs() + 300_000);
    await look(reservation);
    await world.catchUp();
    expect(await creditOf(reservation)).toBe(PRICE - 1n);
  });

  test("too much settles it, and the rest is credit", async () => {
    const reservation = await reserve();
    await world.pay(await world.wallet(), PRICE + 7n, [reservation.reference]);
    await look(reservation);
    expect(await stateOf(reservation)).toEqual({ status: "settled", received: PRICE + 7n });
    expect(await creditOf(reservation)).toBe(7n);
    expect(await noticesOf(reservation)).toEqual(["overpaid"]);
  });
});

describe("after the payment's time", () => {
  test.each([1_000, 90_000, DAY_MS])("landing %i ms late it is credit, told as late", async (lateMs) => {
    const reservation = await reserve();
    const payer = await world.wallet();
    world.clock.pass(reservation.expiresAtMs - world.clock.nowMs() + lateMs);
    world.advance(1);
    await world.pay(payer, PRICE, [reservation.reference]);
    await world.catchUp();
    await look(reservation);
    expect((await stateOf(reservation)).status).not.toBe("settled");
    expect(await creditOf(reservation)).toBe(PRICE);
    expect(await noticesOf(reservation)).toContain("late");
    const told = and(eq(events.clusterId, reservation.clusterId), eq(events.type, "payment.late"));
    expect(await world.db.select().from(events).where(told)).toHaveLength(1);
  });

  test("signed in time with a durable nonce and sent a day later: late, and not lost", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    const wire = await signedWithNonce(payer, reservation);
    world.clock.pass(DAY_MS);
    world.advance(200);
    await rpcOf(world.chain).sendTransaction(wire, { encoding: "base64", preflightCommitment: "processed" }).send();
    await world.catchUp();
    expect(await creditOf(reservation)).toBe(PRICE);
    expect(await noticesOf(reservation)).toContain("late");
  });
});

describe("what says nothing, or something else", () => {
  test("a transfer without a reference waits unallocated, and its sender can claim it", async () => {
    const payer = await world.wallet();
    const signature = await world.pay(payer, PRICE);
    await world.catchUp();
    const isIt = eq(inboundTransfers.signature, String(signature));
    expect(await world.db.select().from(inboundTransfers).where(isIt)).toMatchObject([{ paymentId: null }]);
    const who = await signIn(world.ctx, payer);
    const claimed = await claimUnallocated(who.as({ idempotencyKey: "claim-it" }), {
      signature: String(signature),
      index: 0,
    });
    expect(claimed).toMatchObject({ amount: { amount: "5.000000" } });
  });

  test("another memo, or none, is all the same: the reference says which payment it is", async () => {
    const [one, other] = [await reserve(), await reserve()];
    const payer = await world.wallet();
    const transfer = await world.transferTo(payer, PRICE, [one.reference]);
    await world.send(payer, [getAddMemoInstruction({ memo: other.paymentId }), transfer]);
    await look(one, other);
    expect([await stateOf(one), await stateOf(other)]).toEqual([SETTLED, PENDING]);
  });
});

/** The payment with a lifetime that doesn't end. */
async function signedWithNonce(payer: KeyPairSigner, reservation: Reservation) {
  const nonceAccount = await generateKeyPairSigner();
  const rpc = rpcOf(world.chain);
  const lamports = await rpc.getMinimumBalanceForRentExemption(NONCE_BYTES).send();
  await world.send(payer, [
    getCreateAccountInstruction({
      payer,
      newAccount: nonceAccount,
      lamports,
      space: NONCE_BYTES,
      programAddress: SYSTEM_PROGRAM_ADDRESS,
    }),
    getInitializeNonceAccountInstruction({ nonceAccount: nonceAccount.address, nonceAuthority: payer.address }),
  ]);
  world.advance(3);
  const { data } = await fetchNonce(rpc, nonceAccount.address);
  const transfer = await world.transferTo(payer, PRICE, [reservation.reference]);
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (empty) => setTransactionMessageFeePayerSigner(payer, empty),
    (paid) =>
      setTransactionMessageLifetimeUsingDurableNonce(
        {
          nonce: data.blockhash as string as Nonce,
          nonceAccountAddress: nonceAccount.address,
          nonceAuthorityAddress: payer.address,
        },
        paid,
      ),
    (live) => appendTransactionMessageInstructions([transfer], live),
  );
  return getBase64EncodedWireTransaction(await signTransactionMessageWithSigners(message));
}
