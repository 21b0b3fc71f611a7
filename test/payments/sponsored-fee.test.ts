/** Transaction requests of wallets that have no SOL: the sponsor signs first, a few times, and only what pays us. */
import {
  address,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  getBase64Encoder,
  getTransactionDecoder,
  type KeyPairSigner,
  partiallySignTransaction,
} from "@solana/kit";
import { parseId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Context } from "../../api/context.ts";
import { payments, sponsoredTransactions, treasurySignings } from "../../api/db/tables.ts";
import { createPaymentTransaction } from "../../api/payments/solana-pay/create-transaction.ts";
import { recordSigning } from "../../api/treasury/record-signing.ts";
import { processSponsored } from "../../api/treasury/sponsor/process-sponsored.ts";
import type { TreasuryContext } from "../../api/treasury/treasury-context.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld, repeat } from "./world.ts";

const AMOUNT = 5_000_001n;
const FEE_LAMPORTS = 10_001n;

let world: MoneyWorld;
let sponsor: string;
beforeAll(async () => {
  world = await newMoneyWorld(60);
  sponsor = world.ctx.sponsor?.address ?? "";
  world.chain.faucet({ address: address(sponsor), lamports: 1_000_000_000n });
});
afterAll(() => world.close());

const rowsOf = ({ paymentId }: Reservation) =>
  world.db.select().from(sponsoredTransactions).where(eq(sponsoredTransactions.paymentId, paymentId));
const lamportsOf = (owner: string) => world.chain.state.svm.account(address(owner))?.lamports ?? 0n;

/** With USDC and nothing else. */
async function walletWithoutSol(microUsdc = AMOUNT): Promise<KeyPairSigner> {
  const wallet = await generateKeyPairSigner();
  world.chain.faucet({ address: wallet.address, microUsdc });
  world.advance(1);
  return wallet;
}

interface AskOptions {
  readonly feesPerPayment?: number;
  /** What the treasury's process does while the API waits; nothing where it is away. */
  readonly treasury?: TreasuryContext | null;
}

/** Asks as a wallet does, with the treasury's process at work. */
async function ask(reservation: Reservation, account: string, options: AskOptions = {}) {
  const { feesPerPayment = 2, treasury = world.ctx } = options;
  const working = async () => {
    const requested = (await rowsOf(reservation)).filter(({ status }) => status === "requested");
    if (treasury === null) world.clock.pass(100);
    else for (const { id } of requested) await processSponsored(treasury, id);
  };
  const context: Context = {
    ...world.as({ kind: "anonymous" }),
    settings: { ...world.ctx.settings, sponsoredFeesPerPayment: feesPerPayment },
    clock: { nowMs: () => world.clock.nowMs(), sleep: working },
  };
  const asked = { id: parseId("payment", reservation.paymentId), account };
  const { transaction } = await createPaymentTransaction(context, asked);
  const decoded = getTransactionDecoder().decode(getBase64Encoder().encode(transaction));
  return { transaction, signers: Object.keys(decoded.signatures), decoded };
}

/** As a wallet does: it adds its signature to what it was given, and sends it. */
async function signAndSend(transaction: string, wallet: KeyPairSigner): Promise<void> {
  const given = getTransactionDecoder().decode(getBase64Encoder().encode(transaction));
  const signed = await partiallySignTransaction([wallet.keyPair], given);
  await world.ctx.chain.sendTransaction(getBase64EncodedWireTransaction(signed));
  world.advance(1);
}

test("a wallet without SOL pays in full, and the sponsor's lamports pay the fee", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const wallet = await walletWithoutSol();
  const { transaction, signers, decoded } = await ask(reservation, wallet.address);
  expect(signers).toEqual([sponsor, wallet.address]);
  expect(decoded.signatures[address(sponsor)]).not.toBeNull();
  const before = lamportsOf(sponsor);
  await signAndSend(transaction, wallet);
  expect(before - lamportsOf(sponsor)).toBe(FEE_LAMPORTS);
  await world.watch(reservation);
  expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: AMOUNT });
  await world.catchUp();
  const [row] = await rowsOf(reservation);
  await repeat(world, processSponsored, row?.id ?? "", world.ctx);
  expect(await rowsOf(reservation)).toMatchObject([{ status: "settled" }]);
  expect(await world.faults()).toEqual([]);
});

test("whoever has SOL pays the fee itself, and so does everybody where no fees are paid", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const rich = await world.wallet();
  world.advance(1);
  expect((await ask(reservation, rich.address)).signers).toEqual([rich.address]);
  const poor = await walletWithoutSol();
  expect((await ask(reservation, poor.address, { feesPerPayment: 0 })).signers).toEqual([poor.address]);
  expect(await rowsOf(reservation)).toEqual([]);
});

test("fifty requests at once are one signature, and the same bytes", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const wallet = await walletWithoutSol();
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask(reservation, wallet.address)));
  expect(new Set(answers.map(({ transaction }) => transaction)).size).toBe(1);
  const [row, ...others] = await rowsOf(reservation);
  expect(others).toEqual([]);
  const signings = await world.db
    .select()
    .from(treasurySignings)
    .where(eq(treasurySignings.reference, row?.id ?? ""));
  expect(signings).toHaveLength(1);
});

test("of one payment only so many fees are paid", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const [one, two, three] = [await walletWithoutSol(), await walletWithoutSol(), await walletWithoutSol()];
  expect((await ask(reservation, one.address)).signers).toContain(sponsor);
  expect((await ask(reservation, two.address)).signers).toContain(sponsor);
  expect((await ask(reservation, three.address)).signers).toEqual([three.address]);
  expect((await ask(reservation, one.address)).signers).toContain(sponsor);
});

test("after a part has arrived, it is a transaction of the rest, and one of the whole isn't signed", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const wallet = await walletWithoutSol();
  const first = await ask(reservation, wallet.address);
  await world.pay(await world.wallet(), 2_000_000n, [reservation.reference]);
  world.advance(1);
  await world.watch(reservation);
  const rest = await ask(reservation, wallet.address);
  expect(rest.transaction).not.toBe(first.transaction);
  await signAndSend(rest.transaction, wallet);
  await world.watch(reservation);
  expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: AMOUNT });
});

test("the treasury trusts no row: what doesn't pay exactly what is due, to us, for this payment, is not signed", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const wallet = await walletWithoutSol();
  const refusedAfter = async (change: Partial<typeof payments.$inferInsert>) => {
    const tampering: TreasuryContext = world.with({});
    const before = await rowsOf(reservation);
    const asking = ask(reservation, wallet.address, { treasury: null });
    await asking;
    const fresh = (await rowsOf(reservation)).find(({ id }) => !before.some((row) => row.id === id));
    const kept = await world.payment(reservation);
    await world.db.update(payments).set(change).where(eq(payments.id, reservation.paymentId));
    await processSponsored(tampering, fresh?.id ?? "");
    await world.db.update(payments).set(kept).where(eq(payments.id, reservation.paymentId));
    await world.db.delete(sponsoredTransactions).where(eq(sponsoredTransactions.id, fresh?.id ?? ""));
    return fresh === undefined ? "nothing was asked" : await signed(fresh.id);
  };
  const signed = async (id: string) =>
    (await world.db.select().from(treasurySignings).where(eq(treasurySignings.reference, id))).length;
  expect(await refusedAfter({ amountMicroUsdc: AMOUNT + 1n })).toBe(0);
  expect(await refusedAfter({ reference: world.treasury.address })).toBe(0);
  expect(await refusedAfter({ status: "expired" })).toBe(0);
  expect(await refusedAfter({ status: "pending" })).toBe(1);
});

test("a treasury that is away, or that has spent its lamports, leaves the fee to the wallet", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const wallet = await walletWithoutSol();
  expect((await ask(reservation, wallet.address, { treasury: null })).signers).toEqual([wallet.address]);
  const spent = await world.reserve({ amountMicroUsdc: AMOUNT });
  const limits = { ...world.ctx.settings.limits, dayMaxLamports: 0n };
  const treasury = world.with({ settings: { ...world.ctx.settings, limits } });
  expect((await ask(spent, wallet.address, { treasury })).signers).toEqual([wallet.address]);
  expect(await rowsOf(spent)).toMatchObject([{ status: "refused" }]);
});

test("half of a day's lamports are left for payments that are signed already: asking for transactions costs nothing", async () => {
  world.clock.pass(86_400_000);
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT });
  const { settings } = world.ctx;
  const tight = (lamports: bigint) =>
    world.with({ settings: { ...settings, limits: { ...settings.limits, dayMaxLamports: lamports } } });
  const half = 2n * FEE_LAMPORTS;
  const first = await walletWithoutSol();
  expect((await ask(reservation, first.address, { treasury: tight(half) })).signers).toEqual([sponsor, first.address]);
  const second = await walletWithoutSol();
  expect((await ask(reservation, second.address, { treasury: tight(half) })).signers).toEqual([second.address]);
  const signed = { purpose: "sponsor" as const, reference: "x402", microUsdc: 0n, lamports: FEE_LAMPORTS };
  const payment = { ...signed, signature: "by its payer" };
  expect(await world.db.transaction((tx) => recordSigning(tight(half), tx, payment))).toBeNull();
});

test("what the wallet never signs ends with its blockhash, and the payment goes on", async () => {
  const reservation = await world.reserve({ amountMicroUsdc: AMOUNT, lifetimeMs: 600_000 });
  const wallet = await walletWithoutSol();
  await ask(reservation, wallet.address);
  const [row] = await rowsOf(reservation);
  await repeat(world, processSponsored, row?.id ?? "", world.ctx);
  expect(await rowsOf(reservation)).toMatchObject([{ status: "failed" }]);
  expect(await world.payment(reservation)).toMatchObject({ status: "pending" });
  const again = await ask(reservation, wallet.address);
  await signAndSend(again.transaction, wallet);
  await world.watch(reservation);
  expect(await world.payment(reservation)).toMatchObject({ status: "settled" });
});
