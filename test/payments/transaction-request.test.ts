import {
  address,
  getBase58Decoder,
  getBase64EncodedWireTransaction,
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  type KeyPairSigner,
  partiallySignTransaction,
} from "@solana/kit";
import { parseId } from "@volley/schema/ids";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPaymentTransaction } from "../../api/payments/solana-pay/create-transaction.ts";
import { getRequestInfo } from "../../api/payments/solana-pay/get-request-info.ts";
import { ChainError } from "../../api/ports/chain.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const AMOUNT = 5_000_001n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

const anonymous = () => world.as({ kind: "anonymous" });
const idOf = ({ paymentId }: Reservation) => parseId("payment", paymentId);

async function request(reservation: Reservation, account: string) {
  world.advance(1);
  return await createPaymentTransaction(anonymous(), { id: idOf(reservation), account });
}

/** As a wallet does: it signs what it was given, changes nothing, and sends it. */
async function signAndSend(transaction: string, wallet: KeyPairSigner): Promise<void> {
  const unsigned = getTransactionDecoder().decode(getBase64Encoder().encode(transaction));
  const signed = await partiallySignTransaction([wallet.keyPair], unsigned);
  await world.ctx.chain.sendTransaction(getBase64EncodedWireTransaction(signed));
  world.advance(1);
}

const refused = (code: string, message: RegExp) =>
  expect.objectContaining({ code, extensions: { message: expect.stringMatching(message) } });

describe("a transaction request", () => {
  test("names who asks, with an icon", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    expect(await getRequestInfo(anonymous(), { id: idOf(reservation) })).toEqual({
      label: "Volley",
      icon: `${world.ctx.settings.publicUrl}/icon.svg`,
    });
  });

  test("gives a transaction that a wallet signs as it is, and the payment settles", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    const wallet = await world.wallet();
    const { transaction, message } = await request(reservation, wallet.address);
    expect(message).toContain("5.000001 USDC");
    await signAndSend(transaction, wallet);
    await world.watch(reservation);
    expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: AMOUNT });
    expect(await world.notices(reservation)).toEqual([]);
    await world.catchUp();
    expect(await world.faults()).toEqual([]);
  });

  test("asks for one signature, the payer's, and marks the reference as read-only", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    const wallet = await world.wallet();
    const { transaction } = await request(reservation, wallet.address);
    const { messageBytes, signatures } = getTransactionDecoder().decode(getBase64Encoder().encode(transaction));
    const message = getCompiledTransactionMessageDecoder().decode(messageBytes);
    expect(signatures).toEqual({ [wallet.address]: null });
    const { header, staticAccounts } = message;
    expect(header.numSignerAccounts).toBe(1);
    const place = staticAccounts.indexOf(address(reservation.reference));
    expect(place).toBeGreaterThanOrEqual(staticAccounts.length - header.numReadonlyNonSignerAccounts);
    expect(Buffer.from(getBase64Encoder().encode(transaction)).toString("latin1")).toContain(reservation.paymentId);
  });

  test("after a part has arrived, asks for the rest alone", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    await world.pay(await world.wallet(), 5_000_000n, [reservation.reference]);
    world.advance(1);
    await world.watch(reservation);
    const wallet = await world.wallet(1n);
    await signAndSend((await request(reservation, wallet.address)).transaction, wallet);
    await world.watch(reservation);
    expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: AMOUNT });
  });

  test("is refused for what is paid, expired, unknown or not a wallet's to pay", async () => {
    const wallet = await world.wallet();
    const paid = await world.reserve({ amountMicroUsdc: AMOUNT });
    await world.pay(wallet, AMOUNT, [paid.reference]);
    world.advance(1);
    await world.watch(paid);
    await expect(request(paid, wallet.address)).rejects.toEqual(refused("payment_closed", /has been made/));

    const expired = await world.reserve({ amountMicroUsdc: AMOUNT, lifetimeMs: 1_000 });
    world.clock.pass(1_001);
    await expect(request(expired, wallet.address)).rejects.toEqual(refused("payment_closed", /expired/));

    const unknown = { ...expired, paymentId: expired.paymentId.replace(/.{4}$/, "0000") };
    await expect(request(unknown, wallet.address)).rejects.toMatchObject({ code: "not_found" });
  });

  test("tells a wallet with too little, and one without USDC, what it lacks", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    const poor = await world.wallet(AMOUNT - 1n);
    await expect(request(reservation, poor.address)).rejects.toEqual(
      refused("insufficient_balance", /holds 5\.000000 USDC, and 5\.000001 USDC are due/),
    );
    const stranger = getBase58Decoder().decode(new Uint8Array(32).fill(7));
    await expect(request(reservation, stranger)).rejects.toEqual(refused("insufficient_balance", /holds 0\.000000/));
  });

  test("is refused for accounts that can't pay", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    await expect(request(reservation, world.treasury.address)).rejects.toEqual(refused("address_invalid", /gets paid/));
    await expect(request(reservation, "1".repeat(44))).rejects.toEqual(refused("address_invalid", /no address/));
  });

  test("says so when the chain can't be asked", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
    const wallet = await world.wallet();
    world.advance(1);
    const down = () => Promise.reject(new ChainError("no node answers"));
    const context = { ...anonymous(), chain: { ...world.ctx.chain, latestBlockhash: down } };
    const asked = createPaymentTransaction(context, { id: idOf(reservation), account: wallet.address });
    await expect(asked).rejects.toEqual(refused("unavailable", /Try again/));
  });
});
