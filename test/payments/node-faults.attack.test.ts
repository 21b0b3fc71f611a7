/** One Solana node of two or three fails or lies in every way that we know: no money is lost, doubled or invented. */
import { createSolanaRpcFromTransport } from "@solana/kit";
import { VolleyError } from "@volley/schema/errors";
import { parseId } from "@volley/schema/ids";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chainPool } from "../../api/chain/pool.ts";
import { refundAttempts } from "../../api/db/tables.ts";
import { balanceOf } from "../../api/ledger/balance-of.ts";
import { createRefund } from "../../api/payments/refunds/create-refund.ts";
import { ChainError } from "../../api/ports/chain.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { FaultyNode, NODE_FAULTS } from "../chain/faulty-node.ts";
import { usdcAccountOf } from "../chain/wallet.ts";
import type { Reservation } from "../harness/reservation.ts";
import { type MoneyWorld, newMoneyWorld } from "./world.ts";

const SMALL = 5_000_000n;
const SURPLUS = 1_000_000n;
/** Above what counts at `confirmed`. */
const LARGE = 150_000_000n;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

const silent = { count: () => undefined, gauge: () => undefined, observe: () => undefined };

/** Real, short pauses: with a clock that jumps, no node would get the time to answer beside the first. */
const pausing = () => ({
  nowMs: () => world.clock.nowMs(),
  sleep: (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 3);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    }),
});

function poolOf(nodes: readonly FaultyNode[]) {
  const named = nodes.map((node, index) => ({
    name: `node-${index}`,
    rpc: createSolanaRpcFromTransport(node.transport),
  }));
  return chainPool(named, { clock: pausing(), metrics: silent, timeoutMs: 20 });
}

/** So many nodes, of which the first is the one that will go wrong, and a context that reads through them. */
function behind(count: number) {
  const nodes = Array.from({ length: count }, () => new FaultyNode(world.chain));
  return { nodes, faulty: nodes[0] as FaultyNode, context: world.with({ chain: poolOf(nodes) }) };
}

/** All the work that tasks do, a step of each; a step that fails is repeated, as the engine does. */
async function work(context: MoneyWorld["ctx"], watched: readonly Reservation[], refundIds: readonly string[] = []) {
  for (const reservation of watched) await tolerate(world.watch(reservation, context));
  await tolerate(world.sweep(context));
  for (const id of refundIds) await tolerate(processRefund(context, id));
  world.advance(3);
}

async function tolerate(step: Promise<unknown>): Promise<void> {
  try {
    await step;
  } catch (error) {
    const cause = error instanceof VolleyError ? error.cause : error;
    if (!(cause instanceof ChainError)) throw error;
  }
}

const attempts = (id: string) => world.db.select().from(refundAttempts).where(eq(refundAttempts.refundId, id));
const unallocated = async () => (await balanceOf(world.db, "unallocated:usdc")).postedMicroUsdc;

const finalities = async (signatures: readonly string[]) =>
  (await world.inbound()).filter((row) => signatures.includes(row.signature)).map((row) => row.finality);

describe.each([2, 3])("of %i nodes one", (count) => {
  test.each(NODE_FAULTS)("%s: payments arrive once and whole, and a refund goes out once", async (fault) => {
    const { faulty, context } = behind(count);
    const small = await world.reserve({ amountMicroUsdc: SMALL });
    const large = await world.reserve({ amountMicroUsdc: LARGE });
    const payer = await world.wallet(1_000_000_000n);
    const unallocatedBefore = await unallocated();
    faulty.fault = fault;
    const signatures = [
      await world.pay(payer, SMALL + SURPLUS, [small.reference]),
      await world.pay(payer, LARGE, [large.reference]),
      await world.pay(payer, 7n),
    ];
    world.advance(1);
    const arrived = async () => `${await finalities(signatures)}` === "finalized,finalized,finalized";
    await until(arrived, () => work(context, [small, large]), faulty, count);
    expect(await world.payment(small)).toMatchObject({ status: "settled", receivedMicroUsdc: SMALL + SURPLUS });
    expect(await world.payment(large)).toMatchObject({ status: "settled", receivedMicroUsdc: LARGE });
    expect((await unallocated()) - unallocatedBefore).toBe(7n);

    const before = await usdcOf(payer.address);
    const { id } = await createRefund(world.holder(small, `refund of ${small.clusterId}`), {
      cluster_id: parseId("cluster", small.clusterId),
      to: payer.address,
    });
    faulty.fault = fault;
    const refunded = async () => (await world.refunds(small))[0]?.status === "finalized";
    await until(refunded, () => work(context, [], [id]), faulty, count);
    world.advance(10);
    expect((await usdcOf(payer.address)) - before).toBe(SURPLUS);
    expect((await attempts(id)).filter(({ deadAt }) => deadAt === null)).toHaveLength(1);
    expect(await world.faults()).toEqual([]);
  });
});

/** With three nodes the fault stays; with two, what two have to agree about may wait until both are well. */
async function until(isDone: () => Promise<boolean>, step: () => Promise<void>, faulty: FaultyNode, count: number) {
  for (let steps = 0; steps < 15 && !(await isDone()); steps++) await step();
  if (count === 2) faulty.fault = null;
  for (let steps = 0; steps < 100 && !(await isDone()); steps++) await step();
  expect(await isDone()).toBe(true);
}

const usdcOf = async (owner: Parameters<typeof usdcAccountOf>[1]) =>
  (await world.ctx.chain.tokenBalance(await usdcAccountOf(world.chain, owner), "finalized")) ?? 0n;

test.each(["slots from the future", "answers null"] as const)(
  "%s: no refund is signed anew before it has expired",
  async (fault) => {
    const { faulty, context } = behind(3);
    const reservation = await world.reserve({ amountMicroUsdc: SMALL });
    const payer = await world.wallet();
    await world.pay(payer, SMALL + SURPLUS, [reservation.reference]);
    world.advance(1);
    for (let steps = 0; steps < 4; steps++) await work(context, [reservation]);
    const { id } = await createRefund(world.holder(reservation, `refund of ${reservation.clusterId}`), {
      cluster_id: parseId("cluster", reservation.clusterId),
      to: payer.address,
    });
    faulty.fault = fault;
    const lost = { ...context, chain: { ...context.chain, sendTransaction: async () => undefined } };
    for (let steps = 0; steps < 50; steps++) await work(lost, [], [id]);
    expect(await attempts(id)).toHaveLength(1);
    for (let steps = 0; steps < 20; steps++) await work(lost, [], [id]);
    expect((await attempts(id)).length).toBeGreaterThan(1);
  },
);

test("what one node alone calls a large payment is none", async () => {
  const { faulty, context } = behind(3);
  const reservation = await world.reserve({ amountMicroUsdc: LARGE });
  await world.pay(await world.wallet(), LARGE / 10n, [reservation.reference]);
  world.advance(1);
  faulty.fault = "exaggerates amounts";
  for (let steps = 0; steps < 5; steps++) await work(context, [reservation]);
  expect(await world.payment(reservation)).toMatchObject({ status: "detected", receivedMicroUsdc: LARGE / 10n });
  expect(await world.faults()).toEqual([]);
});

test("what one node tells while the others are silent is taken back when it isn't final", async () => {
  const { faulty, nodes, context } = behind(3);
  const reservation = await world.reserve({ amountMicroUsdc: SMALL });
  await world.pay(await world.wallet(), SMALL / 10n, [reservation.reference]);
  world.advance(1);
  faulty.fault = "exaggerates amounts";
  for (const node of nodes.slice(1)) node.fault = "down";
  await work(context, [reservation]);
  expect(await world.payment(reservation)).toMatchObject({ status: "settled", receivedMicroUsdc: SMALL });
  for (const node of nodes.slice(1)) node.fault = null;
  for (let steps = 0; steps < 5; steps++) await work(context, [reservation]);
  expect(await world.payment(reservation)).toMatchObject({ status: "expired", receivedMicroUsdc: SMALL / 10n });
  expect(await world.cluster(reservation)).toMatchObject({ statusReason: "unpaid" });
  expect(await world.faults()).toEqual([]);
});
