import {
  AccountRole,
  type Address,
  address,
  getAddressEncoder,
  getProgramDerivedAddress,
  getU64Encoder,
  type Instruction,
  type KeyPairSigner,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { getTransferSolInstruction } from "@solana-program/system";
import {
  getCreateAssociatedTokenIdempotentInstruction,
  getMintEncoder,
  getMintToInstruction,
  getTransferCheckedInstruction,
  getTransferInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from "@solana-program/token";
import { parseId } from "@volley/schema/ids";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reconcileCluster } from "../../api/clusters/reconcile-cluster.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { associatedTokenAddress, deriveKey } from "../../api/local/chain/keys.ts";
import { getPayment } from "../../api/payments/get-payment.ts";
import { usdcAccountOf } from "../chain/wallet.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld, withReferences } from "./world.ts";

const AMOUNT = 12_345_678n;
const COMPUTE_BUDGET = address("ComputeBudget111111111111111111111111111111");
const LOOKUP_TABLES = address("AddressLookupTab1e1111111111111111111111111");
const SYSTEM = address("11111111111111111111111111111111");
const TOKEN_2022 = address("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

const reserve = (amountMicroUsdc = AMOUNT) => world.reserve({ amountMicroUsdc });
const resource = (reservation: Reservation) => getPayment(world.ctx, { id: parseId("payment", reservation.paymentId) });
const creditOf = async (reservation: Reservation) =>
  (await balanceOf(world.db, `customer:${reservation.clusterId}`)).availableMicroUsdc;

/** A slot later the watcher looks, and the books must be right whatever came. */
async function look(reservation: Reservation) {
  world.advance(1);
  const outcome = await world.watch(reservation);
  expect(await world.faults()).toEqual([]);
  return outcome;
}

async function expectSettled(reservation: Reservation, received = reservation.amountMicroUsdc) {
  expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: received });
  expect(await world.cluster(reservation)).toMatchObject({ status: "provisioning" });
}

async function expectUntouched(reservation: Reservation) {
  expect(await world.payment(reservation)).toMatchObject({ status: "pending", receivedMicroUsdc: 0n });
  expect(await world.cluster(reservation)).toMatchObject({ status: "awaiting_payment" });
}

describe("a payment of the right amount", () => {
  test("settles, funds the hold and lets the cluster begin", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    const signature = await world.pay(payer, AMOUNT, [reservation.reference]);
    expect(await look(reservation)).toBe("done");
    await expectSettled(reservation);
    expect((await world.inbound()).find((row) => row.signature === signature)).toMatchObject({
      paymentId: reservation.paymentId,
      sourceOwner: payer.address,
      finality: "confirmed",
      late: false,
    });
    expect(await resource(reservation)).toMatchObject({
      status: "settled",
      missing: { amount: "0.000000" },
      signatures: [signature],
      notices: [],
    });
    expect(await balanceOf(world.db, `customer:${reservation.clusterId}`)).toEqual({
      postedMicroUsdc: AMOUNT,
      heldMicroUsdc: AMOUNT,
      availableMicroUsdc: 0n,
    });
  });

  test("counts whatever the wallet adds before and after", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    await world.send(payer, [
      { programAddress: COMPUTE_BUDGET, data: Uint8Array.of(2, 0x40, 0x0d, 0x03, 0) },
      getAddMemoInstruction({ memo: "before" }),
      await world.transferTo(payer, AMOUNT, [reservation.reference]),
      getAddMemoInstruction({ memo: "after" }),
      getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n }),
    ]);
    await look(reservation);
    await expectSettled(reservation);
  });

  test("counts as a plain Transfer, and with the reference on another instruction", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    const transfer = getTransferInstruction({
      source: await usdcAccountOf(world.chain, payer.address),
      destination: world.treasuryToken,
      authority: payer,
      amount: AMOUNT,
    });
    await world.send(payer, [
      transfer,
      withReferences(getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n }), [
        reservation.reference,
      ]),
    ]);
    await look(reservation);
    await expectSettled(reservation);
  });

  test("counts with its reference and our account in a lookup table", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    const keys = [world.treasuryToken, address(reservation.reference), world.chain.usdcMint];
    const table = await createLookupTable(payer, keys);
    world.advance(2);
    await world.send(payer, [await world.transferTo(payer, AMOUNT, [reservation.reference])], {
      lookupTables: { [table]: keys },
    });
    await look(reservation);
    await expectSettled(reservation);
  });

  test("counts inside a batch of the token program, each transfer for its own reference", async () => {
    const [one, two] = [await reserve(1_000_000n), await reserve(2_000_000n)];
    const payer = await world.wallet();
    const transfers = [
      await world.transferTo(payer, 1_000_000n, [one.reference]),
      await world.transferTo(payer, 2_000_000n, [two.reference]),
    ];
    await world.send(payer, [batch(transfers)]);
    await look(one);
    await expectSettled(one);
    await expectSettled(two);
  });

  test("counts in parts, and says what is missing in between", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    await world.pay(payer, AMOUNT - 1n, [reservation.reference]);
    expect(await look(reservation)).toEqual({ dueAtMs: world.clock.nowMs() + 500 });
    expect(await resource(reservation)).toMatchObject({
      status: "detected",
      missing: { amount: "0.000001" },
      notices: [{ code: "underpaid" }],
    });
    expect(await world.cluster(reservation)).toMatchObject({ status: "awaiting_payment" });
    await world.pay(payer, 1n, [reservation.reference]);
    expect(await look(reservation)).toBe("done");
    await expectSettled(reservation);
  });

  test("above the limit counts only when it is final", async () => {
    const reservation = await reserve(100_000_001n);
    const payer = await world.wallet(200_000_000n);
    await world.pay(payer, 100_000_001n, [reservation.reference]);
    await look(reservation);
    expect(await world.payment(reservation)).toMatchObject({ status: "detected" });
    expect(await world.cluster(reservation)).toMatchObject({ status: "awaiting_payment" });
    world.advance(4);
    await look(reservation);
    await expectSettled(reservation);
  });
});

describe("a payment of another amount or at another time", () => {
  test("the surplus is credit", async () => {
    const reservation = await reserve();
    await world.pay(await world.wallet(), AMOUNT + 5n, [reservation.reference]);
    await look(reservation);
    await expectSettled(reservation, AMOUNT + 5n);
    expect(await world.notices(reservation)).toMatchObject([{ code: "overpaid" }]);
    expect(await creditOf(reservation)).toBe(5n);
  });

  test("what comes again after it was settled is credit", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    await world.pay(payer, AMOUNT, [reservation.reference]);
    await look(reservation);
    await world.pay(payer, 7n, [reservation.reference]);
    world.advance(1);
    await world.sweep();
    await expectSettled(reservation, AMOUNT + 7n);
    expect(await creditOf(reservation)).toBe(7n);
    expect(await world.faults()).toEqual([]);
  });

  test.each([
    ["a second", 1_000, AMOUNT],
    ["a minute and a half", 90_000, AMOUNT],
    ["a day", 86_400_000, AMOUNT - 1n],
  ])("%s after expiry it is credit, and the cluster stays expired", async (_name, lateByMs, amount) => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, lifetimeMs: 60_000 });
    world.clock.pass(60_000 + lateByMs);
    world.advance(1);
    await expire(reservation);
    const payer = await world.wallet();
    await world.pay(payer, amount, [reservation.reference]);
    await look(reservation);
    expect(await world.payment(reservation)).toMatchObject({ status: "expired", receivedMicroUsdc: amount });
    expect(await world.cluster(reservation)).toMatchObject({ status: "expired" });
    expect(await world.notices(reservation)).toMatchObject([{ code: "late" }]);
    expect(await creditOf(reservation)).toBe(amount);
    expect((await world.cluster(reservation)).bill?.refund).toMatchObject({ status: "credited", to: "credit" });
  });

  test("a block after expiry is late even while the machines are still held", async () => {
    const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, lifetimeMs: 60_000 });
    world.clock.pass(62_000);
    world.advance(1);
    await world.pay(await world.wallet(), AMOUNT, [reservation.reference]);
    await look(reservation);
    expect(await world.cluster(reservation)).toMatchObject({ status: "awaiting_payment" });
    expect(await world.notices(reservation)).toMatchObject([{ code: "late" }]);
    await expire(reservation);
    expect(await creditOf(reservation)).toBe(AMOUNT);
    expect(await world.faults()).toEqual([]);
  });

  test("late money goes to the refund address by itself", async () => {
    const payer = await world.wallet();
    const reservation = await world.reserve({
      amountMicroUsdc: AMOUNT,
      lifetimeMs: 60_000,
      refundAddress: payer.address,
    });
    world.clock.pass(61_000);
    world.advance(1);
    await expire(reservation);
    await world.pay(payer, 2_000_000n, [reservation.reference]);
    await look(reservation);
    const [refund] = await world.refunds(reservation);
    expect(refund).toMatchObject({ amountMicroUsdc: 2_000_000n, toAddress: payer.address, status: "pending" });
    expect((await world.cluster(reservation)).bill).toMatchObject({
      paid: { amount: "2.000000" },
      refund: { id: refund?.id, amount: { amount: "2.000000" } },
    });
  });
});

describe("several payments in one transaction", () => {
  test("two transfers with two references count each for its own", async () => {
    const [one, two] = [await reserve(1_000_000n), await reserve(2_000_000n)];
    const payer = await world.wallet();
    await world.send(payer, [
      await world.transferTo(payer, 1_000_000n, [one.reference]),
      await world.transferTo(payer, 2_000_000n, [two.reference]),
    ]);
    await look(two);
    await expectSettled(one);
    await expectSettled(two);
  });

  test("one transfer with two references counts for the first, and the other payer is told", async () => {
    const [one, two] = [await reserve(), await reserve()];
    const payer = await world.wallet();
    await world.pay(payer, AMOUNT, [one.reference, two.reference]);
    await look(two);
    await look(one);
    await expectSettled(one);
    await expectUntouched(two);
    expect(await world.notices(two)).toMatchObject([{ code: "foreign_reference" }]);
  });

  test("two references without a place of their own count for neither; the money is unallocated", async () => {
    const [one, two] = [await reserve(), await reserve()];
    const payer = await world.wallet();
    const nothing = getTransferSolInstruction({ source: payer, destination: payer.address, amount: 1n });
    const before = await balanceOf(world.db, "unallocated:usdc");
    await world.send(payer, [
      await world.transferTo(payer, AMOUNT),
      withReferences(nothing, [one.reference, two.reference]),
    ]);
    await look(one);
    await expectUntouched(one);
    await expectUntouched(two);
    const after = await balanceOf(world.db, "unallocated:usdc");
    expect(after.postedMicroUsdc - before.postedMicroUsdc).toBe(AMOUNT);
  });
});

describe("what is no payment", () => {
  test("a failed transaction is told of and doesn't count; the next one does", async () => {
    const reservation = await reserve();
    const poor = await world.wallet(1n);
    const failed = await world.send(poor, [await world.transferTo(poor, AMOUNT, [reservation.reference])], {
      skipPreflight: true,
    });
    await look(reservation);
    await expectUntouched(reservation);
    expect(await world.notices(reservation)).toMatchObject([{ code: "failed_transaction", signature: failed }]);
    await world.pay(await world.wallet(), AMOUNT, [reservation.reference]);
    await look(reservation);
    await expectSettled(reservation);
  });

  test.each([
    ["another mint", TOKEN_PROGRAM_ADDRESS],
    ["a Token-2022 copy", TOKEN_2022],
  ])("%s is told of and doesn't count", async (name, tokenProgram) => {
    const reservation = await reserve();
    const payer = await world.wallet();
    await payWithOtherMint(payer, `mint of ${name}`, tokenProgram, reservation.reference);
    await look(reservation);
    await expectUntouched(reservation);
    expect(await world.notices(reservation)).toMatchObject([{ code: "wrong_mint" }]);
  });

  test("SOL is told of and doesn't count", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    const gift = getTransferSolInstruction({ source: payer, destination: world.treasury.address, amount: 5_000n });
    await world.send(payer, [withReferences(gift, [reservation.reference])]);
    await look(reservation);
    await expectUntouched(reservation);
    expect((await world.notices(reservation))[0]?.detail).toMatch(/^SOL came instead of USDC/);
  });

  test("a transfer of nothing doesn't count", async () => {
    const reservation = await reserve();
    await world.pay(await world.wallet(), 0n, [reservation.reference]);
    await look(reservation);
    await expectUntouched(reservation);
  });

  test("1,500 poisoned transactions don't hide the payment, and fill no list", async () => {
    const reservation = await reserve();
    const payer = await world.wallet();
    const poor = await world.wallet(1n);
    for (let count = 0; count < 1_500; count++) {
      if (count % 100 === 0) world.advance(1);
      const memo = getAddMemoInstruction({ memo: `${count}` });
      if (count % 3 === 0) {
        await world.send(poor, [memo, await world.transferTo(poor, AMOUNT, [reservation.reference])], {
          skipPreflight: true,
        });
      } else if (count % 3 === 1) await world.send(payer, [memo, markedGift(payer, reservation)]);
      else await world.send(payer, [memo, await world.transferTo(payer, 0n, [reservation.reference])]);
    }
    await world.pay(payer, AMOUNT, [reservation.reference]);
    world.advance(1);
    expect(await world.watch(reservation)).toBe("done");
    await expectSettled(reservation);
    expect((await world.notices(reservation)).length).toBeLessThan(30);
  });
});

test("USDC that names nobody is in the books as unallocated", async () => {
  const before = await balanceOf(world.db, "unallocated:usdc");
  await world.pay(await world.wallet(), 3_000_000n);
  await world.catchUp();
  const after = await balanceOf(world.db, "unallocated:usdc");
  expect(after.postedMicroUsdc - before.postedMicroUsdc).toBe(3_000_000n);
  expect(await world.faults()).toEqual([]);
});

/** SIMD-0266: several instructions of the token program in one. */
function batch(instructions: readonly Instruction[]): Instruction {
  return {
    programAddress: TOKEN_PROGRAM_ADDRESS,
    accounts: instructions.flatMap(({ accounts }) => accounts ?? []),
    data: Uint8Array.from([
      255,
      ...instructions.flatMap(({ accounts = [], data = [] }) => [accounts.length, data.length, ...data]),
    ]),
  };
}

/** A gift of SOL that names the payment, which its payer is told of. */
function markedGift(payer: KeyPairSigner, reservation: Reservation): Instruction {
  const gift = getTransferSolInstruction({ source: payer, destination: world.treasury.address, amount: 1n });
  return withReferences(gift, [reservation.reference]);
}

async function expire(reservation: Reservation) {
  const outcome = await reconcileCluster(world.ctx, reservation.clusterId);
  if (outcome !== "done") {
    world.clock.pass(outcome.dueAtMs - world.clock.nowMs());
    await reconcileCluster(world.ctx, reservation.clusterId);
  }
  expect(await world.cluster(reservation)).toMatchObject({ status: "expired" });
}

async function createLookupTable(payer: KeyPairSigner, addresses: readonly Address[]): Promise<Address> {
  const bytes = (...parts: ArrayLike<number>[]) => Uint8Array.from(parts.flatMap((part) => Array.from(part)));
  const u64 = (value: number) => getU64Encoder().encode(value);
  const recentSlot = world.chain.slot - 1;
  const [table, bump] = await getProgramDerivedAddress({
    programAddress: LOOKUP_TABLES,
    seeds: [getAddressEncoder().encode(payer.address), u64(recentSlot)],
  });
  const accounts = [
    { address: table, role: AccountRole.WRITABLE },
    { address: payer.address, role: AccountRole.READONLY_SIGNER },
    { address: payer.address, role: AccountRole.WRITABLE_SIGNER },
    { address: SYSTEM, role: AccountRole.READONLY },
  ];
  const keys = addresses.map((each) => getAddressEncoder().encode(each));
  await world.send(payer, [
    { programAddress: LOOKUP_TABLES, accounts, data: bytes([0, 0, 0, 0], u64(recentSlot), [bump]) },
    { programAddress: LOOKUP_TABLES, accounts, data: bytes([2, 0, 0, 0], u64(keys.length), ...keys) },
  ]);
  return table;
}

/** The payer makes a token of its own and sends the right number of it, reference and all. */
async function payWithOtherMint(payer: KeyPairSigner, name: string, tokenProgram: Address, reference: string) {
  const { svm } = world.chain.state;
  const mint = deriveKey(payer.address, name).address;
  const data = Uint8Array.from(
    getMintEncoder().encode({
      mintAuthority: payer.address,
      supply: 0n,
      decimals: 6,
      isInitialized: true,
      freezeAuthority: null,
    }),
  );
  svm.setAccount(mint, {
    lamports: svm.rentExemptLamports(data.length),
    data,
    owner: tokenProgram,
    executable: false,
  });
  const ataOf = (owner: Address) =>
    tokenProgram === TOKEN_PROGRAM_ADDRESS ? associatedTokenAddress(owner, mint) : ata2022(owner, mint);
  const [source, destination] = [await ataOf(payer.address), await ataOf(world.treasury.address)];
  const create = (owner: Address, ata: Address) =>
    getCreateAssociatedTokenIdempotentInstruction({ payer, ata, owner, mint, tokenProgram });
  const config = { programAddress: tokenProgram };
  const transfer = getTransferCheckedInstruction(
    { source, mint, destination, authority: payer, amount: AMOUNT, decimals: 6 },
    config,
  );
  await world.send(payer, [
    create(payer.address, source),
    create(world.treasury.address, destination),
    getMintToInstruction({ mint, token: source, mintAuthority: payer, amount: AMOUNT }, config),
    withReferences(transfer, [reference]),
  ]);
}

async function ata2022(owner: Address, mint: Address): Promise<Address> {
  const encode = getAddressEncoder().encode;
  const [ata] = await getProgramDerivedAddress({
    programAddress: address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"),
    seeds: [encode(owner), encode(TOKEN_2022), encode(mint)],
  });
  return ata;
}
