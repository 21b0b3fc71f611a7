import { parseId } from "@volley/schema/ids";
import { verifyReceipts } from "@volley/sdk";
import { eq } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endCluster } from "../../api/clusters/end-cluster.ts";
import { lockCluster } from "../../api/clusters/open-cluster.ts";
import { receiptAnchors, receipts, treasurySignings } from "../../api/db/tables.ts";
import { auditOverdue } from "../../api/ledger/audit-overdue.ts";
import { getReceipt } from "../../api/receipts/get-receipt.ts";
import { issueReceipts } from "../../api/receipts/issue-receipts.ts";
import { merkleProof, merkleRoot, merkleTree } from "../../api/receipts/merkle-tree.ts";
import { receiptKeys } from "../../api/receipts/receipt-keys.ts";
import { anchorMemo, anchorReceipts } from "../../api/treasury/anchor/anchor-receipts.ts";
import type { TreasuryContext } from "../../api/treasury/treasury-context.ts";
import { type MoneyWorld, newMoneyWorld } from "../payments/world.ts";

const DAY_MS = 86_400_000;

let world: MoneyWorld;
beforeAll(async () => {
  world = await newMoneyWorld();
});
afterAll(() => world.close());

async function endedCluster(): Promise<string> {
  const { ctx } = world;
  const { clusterId } = await world.reserve({ amountMicroUsdc: 5_000_000n });
  await world.db.transaction(async (tx) => {
    const cluster = await lockCluster(tx, clusterId);
    if (cluster === null) throw new Error("there is no cluster");
    await endCluster(ctx, tx, cluster, { status: "expired", reason: "unpaid", meteredUntilMs: ctx.clock.nowMs() });
  });
  await issueReceipts(ctx, clusterId);
  const [row] = await world.db.select().from(receipts).where(eq(receipts.clusterId, clusterId));
  return row?.id ?? "";
}

const get = (id: string) => getReceipt(world.ctx, { id: parseId("receipt", id) });
const anchors = () => world.db.select().from(receiptAnchors);

async function steps(count: number, context: TreasuryContext = world.ctx): Promise<void> {
  for (let step = 0; step < count; step++) {
    await anchorReceipts(context, "days");
    world.advance(10);
  }
}

test("whatever a day has, each leaf's proof leads to the root, and no other leaf's does", async () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("hex"));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(hash, { minLength: 1, maxLength: 40 }), async (hashes) => {
      const tree = merkleTree(hashes);
      for (const index of hashes.keys()) {
        expect(merkleProof(tree, index).length).toBeLessThanOrEqual(6);
        const swapped = merkleTree(hashes.toSpliced(index, 1, "00".repeat(32)));
        expect(merkleRoot(swapped)).not.toBe(merkleRoot(tree));
      }
    }),
    { numRuns: 20 },
  );
  // RFC 6962: a leaf and its hash are told apart from a node.
  expect(merkleRoot(merkleTree(["00"]))).not.toBe("00");
});

test("a day's root is in a memo on chain, and each receipt proves that it is part of it", async () => {
  const ids = [];
  for (let count = 0; count < 5; count++) ids.push(await endedCluster());
  await steps(1);
  expect(await anchors()).toEqual([]);
  expect((await get(ids[0] ?? "")).anchor).toBeNull();

  world.clock.pass(DAY_MS + 3_600_000);
  // The answer is lost and nothing lands: the same bytes are sent until they can't land any more.
  const lost: string[] = [];
  const deaf = world.with({
    chain: {
      ...world.ctx.chain,
      sendTransaction: async (bytes) => {
        lost.push(bytes);
      },
    },
  }) as unknown as TreasuryContext;
  await steps(5, { ...world.ctx, chain: deaf.chain });
  expect(lost.length).toBeGreaterThan(2);
  expect(new Set(lost).size).toBe(1);
  expect(await anchors()).toMatchObject([{ status: "sent", leaves: 5 }]);
  world.advance(250);
  await steps(12);
  const [anchor] = await anchors();
  expect(anchor?.status).toBe("finalized");
  expect(anchor?.transactionBase64).not.toBe(lost[0]);
  expect(await world.db.select().from(treasurySignings)).toHaveLength(2);

  const landed = await world.ctx.chain.transaction(anchor?.signature ?? "", "finalized");
  const memo = anchorMemo(anchor?.day ?? "", anchor?.merkleRoot ?? "");
  expect(landed?.instructions.map((one) => new TextDecoder().decode(one.data))).toEqual([memo]);

  const found = await Promise.all(ids.map(get));
  const keys = { keys: ((await receiptKeys(world.ctx.settings))?.published ?? []) as never[] };
  const verified = await verifyReceipts(found, keys);
  expect(verified.ok).toBe(true);
  for (const { anchor: proved } of verified.receipts) {
    expect(proved).toEqual({ day: anchor?.day, merkleRoot: anchor?.merkleRoot, signature: anchor?.signature });
  }
  const [first, second] = found;
  if (first === undefined || second === undefined) throw new Error("there are no receipts");
  const swapped = await verifyReceipts([{ ...first, anchor: second.anchor }], keys);
  expect(swapped.receipts[0]?.problems).toEqual([`it is not part of the tree of ${anchor?.day}`]);
});

test("a receipt that is issued by a clock that is behind goes into no closed day", async () => {
  const [closed] = await anchors();
  const behind = { ...world.ctx.clock, nowMs: () => Date.parse(`${closed?.day}T12:00:00Z`) };
  const { ctx } = world;
  const { clusterId } = await world.reserve({ amountMicroUsdc: 5_000_000n });
  await world.db.transaction(async (tx) => {
    const cluster = await lockCluster(tx, clusterId);
    if (cluster === null) throw new Error("there is no cluster");
    await endCluster(ctx, tx, cluster, { status: "expired", reason: "unpaid", meteredUntilMs: ctx.clock.nowMs() });
  });
  await issueReceipts(world.with({ clock: behind }), clusterId);
  const [row] = await world.db.select().from(receipts).where(eq(receipts.clusterId, clusterId));
  expect((row?.day ?? "") > (closed?.day ?? "x")).toBe(true);
});

test("where anchors are off, no day is closed; the signer signs no other memo", async () => {
  await endedCluster();
  world.clock.pass(2 * DAY_MS);
  const before = await anchors();
  expect(await anchorReceipts({ ...world.ctx, settings: { ...world.ctx.settings, anchors: false } }, "days")).toBe(
    "done",
  );
  expect(await anchors()).toEqual(before);
  const { blockhash, lastValidBlockHeight } = await world.ctx.chain.latestBlockhash();
  const order = { memo: "pay to the bearer", blockhash, lastValidBlockHeight };
  await expect(world.ctx.signer.signAnchor(order)).rejects.toThrow("is no memo that this signer signs");
});

test("a day whose root doesn't reach the chain is told of", async () => {
  await endedCluster();
  world.clock.pass(DAY_MS + 600_000);
  const limits = { ...world.ctx.settings.limits, dayMaxLamports: 0n };
  await steps(1, { ...world.ctx, settings: { ...world.ctx.settings, limits } });
  const broken = async () => (await auditOverdue(world.ctx)).outboundOverdue;
  expect(await broken()).toMatchObject({ holds: true });
  world.clock.pass(7_200_000);
  expect(await broken()).toMatchObject({ holds: false, detail: expect.stringContaining("anchor") });
  await steps(20);
  expect(await broken()).toMatchObject({ holds: true });
});
