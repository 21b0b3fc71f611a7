import { createHash, createPublicKey, verify } from "node:crypto";
import { parseId } from "@volley/schema/ids";
import type { ReceiptContent } from "@volley/schema/resources/receipt";
import { asc, eq, sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newApp } from "../../api/app.ts";
import { rows } from "../../api/db/database.ts";
import { receipts, tasks } from "../../api/db/tables.ts";
import { DOMAIN } from "../../api/domain.ts";
import { getReceipt } from "../../api/receipts/get-receipt.ts";
import { issueReceipts } from "../../api/receipts/issue-receipts.ts";
import { listReceipts } from "../../api/receipts/list-receipts.ts";
import { newWorld, WALLET, type World } from "../clusters/world.ts";
import { accountWith, reserveAs } from "./account.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld({ connectionsMax: 24 });
});
afterAll(() => world.close());

const issue = (chain: string) => issueReceipts(world.system(), chain);
const receiptsOf = (chain: string) =>
  world.db.select().from(receipts).where(eq(receipts.chain, chain)).orderBy(asc(receipts.sequence));
const parts = (jws: string) => jws.split(".") as [string, string, string];
const contentOf = (jws: string): ReceiptContent => JSON.parse(Buffer.from(parts(jws)[1], "base64url").toString());

async function keySet(): Promise<{ keys: Record<string, string>[] }> {
  const app = newApp({
    services: () => world.services,
    callerAddress: () => "192.0.2.1",
    domain: DOMAIN,
    metrics: false,
  });
  const response = await app.request("/.well-known/jwks.json");
  expect(response.headers.get("cache-control")).toContain("max-age");
  return (await response.json()) as { keys: Record<string, string>[] };
}

test("an ended cluster has a receipt that says what was used, paid and sent back, and that another library verifies", async () => {
  const nodeIds = [await world.node(), await world.node()];
  const cluster = await world.running(nodeIds, { refund_address: WALLET });
  world.clock.pass(600_000);
  await world.teardown(cluster);
  expect((await world.get(cluster)).bill?.receipt_id).toBeNull();
  expect(await issue(cluster.id)).toBe("done");

  const ended = await world.get(cluster);
  const receipt = await getReceipt(world.holder(cluster), {
    id: parseId("receipt", ended.bill?.receipt_id ?? ""),
  });
  expect(receipt).toMatchObject({ chain: cluster.id, sequence: 1, cluster_id: cluster.id, anchor: null });
  expect(receipt.content).toMatchObject({
    id: receipt.id,
    previous_hash: null,
    quote_id: cluster.quote_id,
    quoted: cluster.total,
    charged: ended.bill?.charged,
    platform_fee: ended.bill?.platform_fee,
    paid: ended.bill?.paid,
    payments: [{ id: cluster.payment.id, rail: "solana_pay", received: cluster.total }],
    refunds: [{ id: ended.bill?.refund.id, amount: ended.bill?.refund.amount, to: WALLET }],
    written_off: { amount: "0.000000" },
  });
  expect(receipt.content.payments[0]?.signatures).toHaveLength(1);
  const seconds = receipt.content.nodes.map((node) => node.seconds);
  expect(seconds).toEqual(ended.bill?.billed_seconds.map((rank) => rank.seconds));
  // 3.60 USDC an hour are 1,000 micro-USDC a second.
  expect(receipt.content.nodes.map((node) => Number(node.amount.amount) * 1_000)).toEqual(seconds);

  const [header, payload, signature] = parts(receipt.jws);
  const { kid, alg } = JSON.parse(Buffer.from(header, "base64url").toString());
  const jwk = (await keySet()).keys.find((key) => key.kid === kid);
  expect({ alg, kty: jwk?.kty, crv: jwk?.crv }).toEqual({ alg: "EdDSA", kty: "OKP", crv: "Ed25519" });
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: jwk?.x ?? "" }, format: "jwk" });
  const signed = Buffer.from(`${header}.${payload}`);
  expect(verify(null, signed, key, Buffer.from(signature, "base64url"))).toBe(true);
  expect(jwk).not.toHaveProperty("d");
});

test("a reservation that nobody paid has a receipt over nothing", async () => {
  const cluster = await world.reserve(world.quote({ nodeIds: [await world.node()] }));
  await world.teardown(cluster);
  await issue(cluster.id);
  const [row] = await receiptsOf(cluster.id);
  expect(contentOf(row?.jws ?? "")).toMatchObject({
    charged: { amount: "0.000000" },
    paid: { amount: "0.000000" },
    refunds: [],
    payments: [{ received: { amount: "0.000000" }, signatures: [] }],
  });
});

test("what an account's balance had bound and was not charged stands as sent back to the balance", async () => {
  const account = await accountWith(world, 100_000_000n);
  const cluster = await reserveAs(world, account, await world.node(), { payment: { rail: "balance" } });
  await world.reaches(cluster, "running", 60_000);
  world.clock.pass(900_000);
  await world.teardown(cluster);
  await issue(account.id);
  const [row] = await receiptsOf(account.id);
  const content = contentOf(row?.jws ?? "");
  const [refund] = content.refunds;
  expect(refund).toMatchObject({ id: null, to: "balance" });
  expect(Number(content.charged.amount) + Number(refund?.amount.amount)).toBeCloseTo(Number(content.paid.amount), 6);
});

describe("chains", () => {
  test("fifty clusters of one account that end at once: a chain without gap or fork, whoever is at work", async () => {
    const account = await accountWith(world, 0n);
    const nodeId = await world.node(64);
    const reserved = [];
    for (let count = 0; count < 50; count++) {
      reserved.push(await reserveAs(world, account, nodeId));
    }
    // Each end is followed at once by a worker of its own, so that many are at the same chain.
    await Promise.all(
      reserved.map(async (cluster) => {
        await world.teardown(cluster);
        await issue(account.id);
      }),
    );
    await issue(account.id);
    const chain = await receiptsOf(account.id);
    expect(chain.map((row) => row.sequence)).toEqual(reserved.map((_, index) => index + 1));
    expect(new Set(chain.map((row) => row.clusterId))).toEqual(new Set(reserved.map(({ id }) => id)));
    for (const [index, row] of chain.entries()) {
      const content = contentOf(row.jws);
      expect(content.sequence).toBe(row.sequence);
      expect(content.previous_hash).toBe(chain[index - 1]?.hash ?? null);
      expect(createHash("sha256").update(row.jws).digest("hex")).toBe(row.hash);
    }
    expect(await world.db.select().from(tasks).where(eq(tasks.id, account.id))).toMatchObject([{ kind: "receipts" }]);
  });

  test("the database takes no second receipt of a cluster and no second of one number", async () => {
    const [row] = await world.db.select().from(receipts).limit(1);
    if (row === undefined) throw new Error("there is no receipt");
    const insert = (changed: Partial<typeof row>) => world.db.insert(receipts).values({ ...row, id: "x", ...changed });
    await expect(insert({ hash: "x", sequence: 99 })).rejects.toThrow();
    await expect(insert({ hash: "x", chain: row.chain })).rejects.toThrow();
    await expect(insert({ hash: "x", chain: "y", sequence: 0 })).rejects.toThrow();
  });
});

test("an account's list has its receipts, newest first, in pages; nobody else has one", async () => {
  const account = await accountWith(world, 0n);
  const nodeId = await world.node(8);
  for (let count = 0; count < 3; count++) {
    const cluster = await reserveAs(world, account, nodeId);
    world.clock.pass(1_000);
    await world.teardown(cluster);
    await issue(account.id);
  }
  const owner = world.holder(account);
  const first = await listReceipts(owner, { limit: 2 });
  expect(first.data.map((receipt) => receipt.sequence)).toEqual([3, 2]);
  const second = await listReceipts(owner, { limit: 2, cursor: first.next_cursor ?? "" });
  expect(second).toMatchObject({ data: [{ sequence: 1 }], next_cursor: null });
  const [receipt] = first.data;
  if (receipt === undefined) throw new Error("there is no receipt");
  expect((await listReceipts(owner, { limit: 9, cluster_id: receipt.cluster_id })).data).toHaveLength(1);

  const stranger = world.holder(await accountWith(world, 0n));
  expect((await listReceipts(stranger, { limit: 9 })).data).toEqual([]);
  await expect(getReceipt(stranger, { id: receipt.id })).rejects.toMatchObject({ code: "not_found" });
  await expect(getReceipt(world.anyone(), { id: receipt.id })).rejects.toMatchObject({ code: "unauthenticated" });
});

test("books that don't add up are signed by nobody, and hold up no other receipt of the chain", async () => {
  const account = await accountWith(world, 0n);
  const nodeId = await world.node(8);
  const ended = [];
  for (let count = 0; count < 2; count++) {
    const cluster = await reserveAs(world, account, nodeId);
    world.clock.pass(1_000);
    await world.teardown(cluster);
    ended.push(cluster);
  }
  const [broken, sound] = ended;
  await world.db.execute(sql`UPDATE payments SET received_micro_usdc = 1 WHERE cluster_id = ${broken?.id ?? ""}`);
  await expect(issue(account.id)).rejects.toThrow("1 receipts could not be issued");
  expect((await receiptsOf(account.id)).map((row) => row.clusterId)).toEqual([sound?.id]);
  await world.db.execute(sql`UPDATE payments SET received_micro_usdc = 0 WHERE cluster_id = ${broken?.id ?? ""}`);
  expect(await issue(account.id)).toBe("done");
  expect(await receiptsOf(account.id)).toHaveLength(2);
});

test("a retired key is published beside the new one, and without keys there are no receipts", async () => {
  const [old] = (await keySet()).keys;
  const { services } = world;
  const rotated = [Buffer.alloc(32, 9).toString("base64url"), `public:${old?.x}`];
  Object.assign(world.services, { settings: { ...services.settings, receiptKeys: rotated } });
  const { keys } = await keySet();
  expect(keys).toHaveLength(2);
  expect(keys[1]).toEqual(old);
  Object.assign(world.services, { settings: { ...services.settings, receiptKeys: [] } });
  expect((await keySet()).keys).toEqual([]);
  const cluster = await world.reserve(world.quote({ nodeIds: [await world.node()] }));
  await world.teardown(cluster);
  const woken = await rows(world.db, sql`SELECT 1 AS found FROM tasks WHERE kind = 'receipts' AND id = ${cluster.id}`);
  expect(woken).toEqual([]);
  expect(await issue(cluster.id)).toBe("done");
  expect(await receiptsOf(cluster.id)).toEqual([]);
});
