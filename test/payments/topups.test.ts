/** Money into an account's balance: asked for as a top-up, or sent without saying for what and claimed. */
import { parseId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { customers, inboundTransfers, payments } from "../../api/db/tables.ts";
import { getBalance } from "../../api/payments/balance/get-balance.ts";
import { createTopup } from "../../api/payments/create-topup.ts";
import { getPayment } from "../../api/payments/get-payment.ts";
import { dropInbound } from "../../api/payments/inbound/drop-inbound.ts";
import { watchPayment } from "../../api/payments/inbound/watch-payment.ts";
import { listPayments } from "../../api/payments/list-payments.ts";
import { claimUnallocated } from "../../api/payments/unallocated/claim-unallocated.ts";
import { listUnallocated, unallocatedCursor } from "../../api/payments/unallocated/list-unallocated.ts";
import { oneUsdc } from "../chain/wallet.ts";
import { type SignedIn, signIn } from "../harness/account.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld(60);
});
afterAll(() => world.close());

let keys = 0;
const keyed = (who: SignedIn) => who.as({ idempotencyKey: `key-${++keys}` });
const payer = async (microUsdc = 1_000n * oneUsdc) => signIn(world.ctx, await world.wallet(microUsdc));
const availableOf = async (who: SignedIn) => (await getBalance(who.as(), {})).available.amount;
const askFor = (who: SignedIn, amount: string) => createTopup(keyed(who), { amount, rail: "solana_pay" });
const referenceOf = (topup: Awaited<ReturnType<typeof askFor>>) => solanaPayOf(topup).reference;
const look = (topup: { id: string }) => watchPayment(world.ctx, topup.id);
const read = (who: SignedIn, topup: { id: string }) => getPayment(who.as(), { id: parseId("payment", topup.id) });
const codes = ({ notices }: { notices: { code: string }[] }) => notices.map(({ code }) => code);

describe("a top-up", () => {
  test("that is paid is in the balance, and in the list of payments", async () => {
    const who = await payer();
    const topup = await askFor(who, "25.5");
    expect(topup).toMatchObject({ purpose: "topup", rail: "solana_pay", status: "pending", cluster_id: null });
    await world.pay(who.wallet, 25_500_000n, [referenceOf(topup)]);
    world.advance(1);
    await look(topup);
    expect(await read(who, topup)).toMatchObject({ status: "settled", received: { amount: "25.500000" }, notices: [] });
    expect(await availableOf(who)).toBe("25.500000");
    expect((await listPayments(who.as(), { limit: 5 })).data.map(({ id }) => id)).toEqual([topup.id]);
  });

  test("may be paid by anybody: it is the account's all the same, and only the account sees it", async () => {
    const [who, friend] = [await payer(), await payer()];
    const topup = await askFor(who, "3");
    await world.pay(friend.wallet, 3_000_000n, [referenceOf(topup)]);
    world.advance(1);
    await look(topup);
    expect(await availableOf(who)).toBe("3.000000");
    expect(await availableOf(friend)).toBe("0.000000");
    await expect(read(friend, topup)).rejects.toMatchObject({ code: "not_found" });
  });

  test("credits what comes: too little, then too much, with a notice", async () => {
    const who = await payer();
    const topup = await askFor(who, "10");
    await world.pay(who.wallet, 4_000_000n, [referenceOf(topup)]);
    world.advance(1);
    await look(topup);
    const partial = await read(who, topup);
    expect(partial).toMatchObject({ status: "detected", received: { amount: "4.000000" } });
    expect(await availableOf(who)).toBe("4.000000");
    await world.pay(who.wallet, 7_000_000n, [referenceOf(topup)]);
    world.advance(1);
    await look(topup);
    const paid = await read(who, topup);
    expect(paid.status).toBe("settled");
    expect(codes(paid)).toContain("overpaid");
    expect(await availableOf(who)).toBe("11.000000");
  });

  test("that comes after its end is in the balance too, and says that it was late", async () => {
    const who = await payer();
    const topup = await askFor(who, "2");
    world.clock.pass((world.ctx.settings.paymentLifetimeSeconds + 10) * 1000);
    world.advance(1);
    await look(topup);
    expect(await read(who, topup)).toMatchObject({ status: "expired" });
    await world.pay(who.wallet, 2_000_000n, [referenceOf(topup)]);
    world.advance(1);
    await world.catchUp();
    expect(codes(await read(who, topup))).toContain("late");
    expect(await availableOf(who)).toBe("2.000000");
  });

  test("above the limit of `confirmed` counts when it is final", async () => {
    const who = await payer();
    const topup = await askFor(who, "150");
    await world.pay(who.wallet, 150_000_000n, [referenceOf(topup)]);
    world.advance(1);
    await look(topup);
    expect(await read(who, topup)).toMatchObject({ status: "detected" });
    expect(await availableOf(who)).toBe("0.000000");
    world.advance(10);
    await look(topup);
    expect(await read(who, topup)).toMatchObject({ status: "settled" });
    expect(await availableOf(who)).toBe("150.000000");
  });

  test("that brings more than may count at `confirmed` counts when it is final, however little was asked for", async () => {
    const who = await payer();
    const topup = await askFor(who, "1");
    await world.pay(who.wallet, 60_000_000n, [referenceOf(topup)]);
    world.advance(1);
    await look(topup);
    expect(await availableOf(who)).toBe("60.000000");
    await world.pay(who.wallet, 60_000_000n, [referenceOf(topup)]);
    world.advance(1);
    await world.sweep();
    expect(await read(who, topup)).toMatchObject({ status: "settled", received: { amount: "120.000000" } });
    expect(await availableOf(who)).toBe("60.000000");
    await world.catchUp();
    expect(await availableOf(who)).toBe("120.000000");
    const large = await askFor(who, "1");
    await world.pay(who.wallet, 150_000_000n, [referenceOf(large)]);
    world.advance(1);
    await look(large);
    expect(await read(who, large)).toMatchObject({ status: "detected" });
    expect(await availableOf(who)).toBe("120.000000");
    await world.catchUp();
    expect(await read(who, large)).toMatchObject({ status: "settled" });
    expect(await availableOf(who)).toBe("270.000000");
  });

  test("that nobody pays is not looked for all the time: accounts are free, and so are top-ups", async () => {
    const topup = await askFor(await payer(0n), "5");
    const { paymentLifetimeSeconds, chainPollMs } = world.ctx.settings;
    const overMs = world.clock.nowMs() + paymentLifetimeSeconds * 1000;
    let looks = 0;
    while (world.clock.nowMs() < overMs) {
      looks++;
      const outcome = await look(topup);
      if (outcome === "done") throw new Error("nobody looks any more");
      world.clock.pass(outcome.dueAtMs - world.clock.nowMs());
    }
    expect(looks).toBeLessThan((paymentLifetimeSeconds * 1000) / chainPollMs / 10);
    world.clock.pass(10_000);
    await look(topup);
    expect((await world.db.select().from(payments).where(eq(payments.id, topup.id)))[0]?.status).toBe("expired");
  });

  test.each(["0.5", "100000.000001", "0"])("of %s USDC is refused with the range", async (amount) => {
    const who = await payer(0n);
    await expect(askFor(who, amount)).rejects.toMatchObject({
      code: "amount_out_of_range",
      message: expect.stringContaining("1.000000 to 100000.000000 USDC"),
    });
  });

  test("asked for 50 times at once with one key is one; with 50 keys, no more than twenty stay open", async () => {
    const who = await payer(0n);
    const same = await Promise.all(
      Array.from({ length: 50 }, () =>
        createTopup(who.as({ idempotencyKey: "same" }), { amount: "1", rail: "solana_pay" }),
      ).map((asked) => asked.catch((error: { code: string }) => error.code)),
    );
    const ids = new Set(same.filter((answer) => typeof answer !== "string").map(({ id }) => id));
    expect(ids.size).toBe(1);
    expect(new Set(same.filter((answer) => typeof answer === "string"))).toEqual(
      new Set(same.includes("idempotency_in_progress") ? ["idempotency_in_progress"] : []),
    );
    const many = await Promise.allSettled(Array.from({ length: 50 }, () => askFor(who, "1")));
    expect(many.filter(({ status }) => status === "fulfilled")).toHaveLength(19);
    const refused = many.flatMap((answer) => (answer.status === "rejected" ? [answer.reason.code] : []));
    expect(new Set(refused)).toEqual(new Set(["holds_exceeded"]));
  });

  test("of a frozen account is refused", async () => {
    const who = await payer(0n);
    await world.db
      .update(customers)
      .set({ frozenAt: world.clock.nowMs(), frozenReason: "a dispute" })
      .where(eq(customers.id, who.account.id));
    await expect(askFor(who, "5")).rejects.toMatchObject({ code: "account_frozen" });
  });
});

describe("money that names no payment", () => {
  /** A transfer without a reference, seen and final. */
  async function sent(microUsdc: bigint, who: SignedIn): Promise<string> {
    const signature = await world.pay(who.wallet, microUsdc);
    await world.catchUp();
    return signature;
  }
  const claim = (who: SignedIn, signature: string, index = 0) => claimUnallocated(keyed(who), { signature, index });
  const indexOf = async (signature: string) => {
    const [row] = await world.db.select().from(inboundTransfers).where(eq(inboundTransfers.signature, signature));
    return row?.transferIndex ?? -1;
  };

  test("is listed for the wallet that sent it, newest first, and goes into its balance once", async () => {
    const [who, stranger] = [await payer(), await payer()];
    const signatures: string[] = [];
    for (const amount of [1n, 2n, 3n]) {
      signatures.unshift(await sent(amount * oneUsdc, who));
      world.clock.pass(1_000);
    }
    const whole = await listUnallocated(who.as(), { limit: 10 });
    expect(whole.data.map(({ signature }) => signature)).toEqual(signatures);
    expect(whole.data[0]).toMatchObject({
      object: "unallocated_transfer",
      amount: { amount: "3.000000" },
      source: who.wallet.address,
      finality: "finalized",
      claimed: false,
    });
    const first = await listUnallocated(who.as(), { limit: 2 });
    const [, second] = first.data;
    expect(second && unallocatedCursor(second)).toBe(first.next_cursor);
    const rest = await listUnallocated(who.as(), { limit: 2, cursor: first.next_cursor ?? "" });
    expect([...first.data, ...rest.data]).toEqual(whole.data);
    expect((await listUnallocated(stranger.as(), { limit: 10 })).data).toEqual([]);

    const [newest] = whole.data;
    if (newest === undefined) throw new Error("nothing is listed");
    const { signature, index } = newest;
    await expect(claim(stranger, signature, index)).rejects.toMatchObject({ code: "not_found" });
    expect(await claim(who, signature, index)).toMatchObject({ claimed: true });
    await expect(claim(who, signature, index)).rejects.toMatchObject({ code: "already_claimed" });
    expect(await availableOf(who)).toBe("3.000000");
    expect(await world.faults()).toEqual([]);
  });

  test("claimed 50 times at once is in the balance once", async () => {
    const who = await payer();
    const signature = await sent(7n * oneUsdc, who);
    const index = await indexOf(signature);
    const answers = await Promise.allSettled(Array.from({ length: 50 }, () => claim(who, signature, index)));
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const refused = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason.code] : []));
    expect(new Set(refused)).toEqual(new Set(["already_claimed"]));
    expect(await availableOf(who)).toBe("7.000000");
    expect(await world.faults()).toEqual([]);
  });

  test("waits until it is final, so that no fork takes back what is spent", async () => {
    const who = await payer();
    const signature = await world.pay(who.wallet, oneUsdc);
    world.advance(1);
    await world.sweep();
    const index = await indexOf(signature);
    await expect(claim(who, signature, index)).rejects.toMatchObject({ code: "unavailable" });
    await world.catchUp();
    expect(await claim(who, signature, index)).toMatchObject({ claimed: true });
  });

  test("that vanished with its fork is neither listed nor claimed", async () => {
    const who = await payer();
    const signature = await world.pay(who.wallet, oneUsdc);
    world.advance(1);
    await world.sweep();
    const [row] = await world.db.select().from(inboundTransfers).where(eq(inboundTransfers.signature, signature));
    if (row === undefined) throw new Error("the transfer is not there");
    await dropInbound(world.ctx, row);
    expect((await listUnallocated(who.as(), { limit: 10 })).data).toEqual([]);
    await expect(claim(who, signature, row.transferIndex)).rejects.toMatchObject({ code: "not_found" });
    // It lands again: the chain has it, so the books must.
    await world.catchUp();
    expect(await claim(who, signature, row.transferIndex)).toMatchObject({ claimed: true });
    expect(await availableOf(who)).toBe("1.000000");
    expect(await world.faults()).toEqual([]);
  });

  test("that was for a payment, or that nobody sent, can't be claimed", async () => {
    const who = await payer();
    const topup = await askFor(who, "5");
    const signature = await world.pay(who.wallet, 5n * oneUsdc, [referenceOf(topup)]);
    await world.catchUp();
    await expect(claim(who, signature, await indexOf(signature))).rejects.toMatchObject({ code: "not_found" });
    await expect(claim(who, "1".repeat(88))).rejects.toMatchObject({ code: "not_found" });
    expect(await availableOf(who)).toBe("5.000000");
  });

  test("of a frozen account stays where it is", async () => {
    const who = await payer();
    const signature = await sent(oneUsdc, who);
    await world.db
      .update(customers)
      .set({ frozenAt: world.clock.nowMs(), frozenReason: "a dispute" })
      .where(eq(customers.id, who.account.id));
    await expect(claim(who, signature, await indexOf(signature))).rejects.toMatchObject({ code: "account_frozen" });
    expect(await world.faults()).toEqual([]);
  });
});

test("at the end the books hold", async () => {
  await world.catchUp();
  expect(await world.faults()).toEqual([]);
});
