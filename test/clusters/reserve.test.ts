import { address } from "@solana/kit";
import { findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { clusterSchema } from "@volley/schema/resources/cluster";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getCluster } from "../../api/clusters/get-cluster.ts";
import { quoteIsUsed } from "../../api/clusters/quote-is-used.ts";
import { reserveCluster } from "../../api/clusters/reserve.ts";
import { rows } from "../../api/db/database.ts";
import { newMarket } from "../../api/market/market.ts";
import { signQuote, verifyQuote } from "../../api/market/quote-token.ts";
import { bearer } from "../harness/services.ts";
import { newWorld, WALLET, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterAll(async () => {
  expect(await world.broken()).toEqual([]);
  await world.close();
});

const keyed = (key: string, callerHash = "caller") => world.anyone({ idempotencyKey: key, callerHash });
const count = async (table: "clusters" | "transfers" | "payments" | "idempotency_keys") => {
  const [row] = await rows<{ count: number }>(
    world.db,
    sql`SELECT count(*)::integer AS count FROM ${sql.identifier(table)}`,
  );
  return row?.count;
};

describe("a reservation", () => {
  test("claims the quoted machines and answers how to pay and the secret", async () => {
    const nodeId = await world.node(8);
    const token = world.quote({ nodeIds: [nodeId, nodeId], gpus: 2, durationSeconds: 1800 });
    const cluster = await world.reserve(token, {
      name: "training",
      metadata: { team: "vision" },
      client_reference: "job-7",
      image: "docker.io/library/node:24-slim",
      startup_script: "echo hello",
      env: { SEED: "7" },
      refund_address: WALLET,
    });
    expect(clusterSchema.parse(cluster)).toEqual(cluster);
    expect(cluster).toMatchObject({
      status: "awaiting_payment",
      quote_id: verifyQuote(token, world.services.settings.quoteKeys).id,
      gpus_per_node: 2,
      duration_seconds: 1800,
      // 2 ranks × 2 GPUs × 3.6 USDC/h × 0.5 h, and 5 %.
      total: { amount: "7.560000", currency: "USDC" },
      credit: { amount: "0.000000" },
      payment: { status: "pending", amount: { amount: "7.560000" }, missing: { amount: "7.560000" } },
      nodes: [
        { rank: 0, status: "reserved", node_id: nodeId, hostname: "rank-0" },
        { rank: 1, status: "reserved", node_id: nodeId, hostname: "rank-1" },
      ],
      refund_address: WALLET,
      bill: null,
    });
    expect(cluster.secret).toMatch(/^vly_cl_[A-Za-z0-9_-]{43}$/);
    expect(cluster.payment.solana_pay?.url).toMatch(/[?&]amount=7\.56(&|$)/);
    expect(await world.free(nodeId)).toBe(4);
    expect((await world.leases(cluster)).map((lease) => lease.slots)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(await quoteIsUsed(world.services, cluster.quote_id)).toBe(true);
    expect(await world.events(cluster)).toEqual(["cluster.reserved"]);

    const again = await getCluster(world.holder(cluster), { id: cluster.id });
    expect(again).toEqual({ ...cluster, secret: null });
  });

  test("keeps no secret: the database can't open the cluster", async () => {
    const cluster = await world.reserve(world.quote({ nodeIds: [await world.node()] }));
    const [dump] = await rows<{ text: string }>(
      world.db,
      sql`SELECT (SELECT string_agg(clusters::text, '') FROM clusters)
              || (SELECT string_agg(idempotency_keys::text, '') FROM idempotency_keys) AS text`,
    );
    expect(dump?.text).toContain(cluster.id);
    expect(dump?.text).not.toContain(cluster.secret);
    expect(dump?.text).not.toContain(cluster.secret.slice("vly_cl_".length));
  });

  test("opens to its secret alone: a wrong one answers as if the cluster were missing", async () => {
    const cluster = await world.reserve(world.quote({ nodeIds: [await world.node()] }));
    const other = await world.reserve(world.quote({ nodeIds: [await world.node()] }));
    const answerOf = async (secret: string, id: string) => {
      const error = await getCluster(bearer(world.services, secret), { id: id as never }).catch((caught) => caught);
      return { code: error.code, message: error.message, nextAction: error.nextAction, extensions: error.extensions };
    };
    const missing = await answerOf(other.secret, "cl_01jmq8rx1rf3d9w4k1q3k3zzzz");
    expect(missing.code).toBe("not_found");
    expect(await answerOf(other.secret, cluster.id)).toEqual(missing);
    await expect(getCluster(world.anyone(), { id: cluster.id })).rejects.toMatchObject({ code: "unauthenticated" });
  });

  test("takes the next free slots, also where earlier ones were given back in between", async () => {
    const nodeId = await world.node(4);
    const first = await world.reserve(world.quote({ nodeIds: [nodeId], gpus: 1 }));
    await world.reserve(world.quote({ nodeIds: [nodeId], gpus: 2 }));
    await world.teardown(first);
    const third = await world.reserve(world.quote({ nodeIds: [nodeId], gpus: 2 }));
    expect((await world.leases(third))[0]?.slots).toEqual([0, 3]);
    expect(await world.free(nodeId)).toBe(0);
  });
});

describe("repeated with its key", () => {
  test("answers the same bytes with the secret, also when the quote has expired and the network address has changed", async () => {
    const nodeId = await world.node(1);
    const input = world.input(world.quote({ nodeIds: [nodeId], lifetimeMs: 60_000 }), {
      metadata: { zebra: "1", ant: "2" },
    });
    const first = await reserveCluster(keyed("again"), input);
    world.clock.pass(120_000);
    const clusters = await count("clusters");
    const keys = await count("idempotency_keys");
    for (const callerHash of ["caller", "caller", "another network", "another network"]) {
      const again = await reserveCluster(keyed("again", callerHash), input);
      expect(JSON.stringify(again)).toBe(JSON.stringify(first));
    }
    expect(await count("clusters")).toBe(clusters);
    expect(await count("idempotency_keys")).toBe(keys);
  });

  test("but with other contents is refused, and so is having no key", async () => {
    const nodeId = await world.node(2);
    const quote = world.quote({ nodeIds: [nodeId] });
    await reserveCluster(keyed("mine"), world.input(quote, { name: "one" }));
    await expect(reserveCluster(keyed("mine"), world.input(quote, { name: "two" }))).rejects.toMatchObject({
      code: "idempotency_mismatch",
    });
    const other = world.quote({ nodeIds: [nodeId] });
    await expect(reserveCluster(keyed("mine"), world.input(other, { name: "one" }))).rejects.toMatchObject({
      code: "idempotency_mismatch",
    });
    await expect(reserveCluster(world.anyone(), world.input(other))).rejects.toMatchObject({
      code: "idempotency_key_missing",
    });
  });

  test("by another caller is another key", async () => {
    const nodeId = await world.node(2);
    const one = await reserveCluster(keyed("1", "alice"), world.input(world.quote({ nodeIds: [nodeId] })));
    const two = await reserveCluster(keyed("1", "bob"), world.input(world.quote({ nodeIds: [nodeId] })));
    expect(one.id).not.toBe(two.id);
  });

  test("after a refusal finds the key free", async () => {
    const nodeId = await world.node(1);
    const blocker = await world.reserve(world.quote({ nodeIds: [nodeId] }));
    const input = world.input(world.quote({ nodeIds: [nodeId] }));
    await expect(reserveCluster(keyed("retry"), input)).rejects.toMatchObject({ code: "capacity_gone" });
    await world.teardown(blocker);
    expect(await reserveCluster(keyed("retry"), input)).toMatchObject({ status: "awaiting_payment" });
  });
});

describe("is refused, with nothing left behind,", () => {
  const refused = async (attempt: () => Promise<unknown>, expected: object) => {
    const tables = ["clusters", "transfers", "payments", "idempotency_keys"] as const;
    const before = await Promise.all(tables.map(count));
    await expect(attempt()).rejects.toMatchObject(expected);
    expect(await Promise.all(tables.map(count))).toEqual(before);
  };

  test("with a quote that was used, altered, forged or has expired", async () => {
    const nodeId = await world.node(4);
    const quote = world.quote({ nodeIds: [nodeId] });
    await world.reserve(quote);
    await refused(() => world.reserve(quote), { code: "quote_used" });
    const altered = `${quote.slice(0, 20)}${quote[20] === "A" ? "B" : "A"}${quote.slice(21)}`;
    await refused(() => world.reserve(altered), { code: "quote_invalid" });
    const { quoteKeys } = world.services.settings;
    const forged = signQuote(verifyQuote(world.quote({ nodeIds: [nodeId], rate: 1n }), quoteKeys), ["C".repeat(43)]);
    await refused(() => world.reserve(forged), { code: "quote_invalid" });
    await refused(() => world.reserve("nonsense"), { code: "quote_invalid" });
    const old = world.quote({ nodeIds: [nodeId], lifetimeMs: 60_000 });
    world.clock.pass(60_000);
    await refused(() => world.reserve(old), { code: "quote_expired" });
  });

  test("when any machine of the gang is short, naming its ranks and offering a fresh quote", async () => {
    const [full, roomy] = [await world.node(1), await world.node(8)];
    const market = newMarket();
    await market.refresh(world.services);
    const quote = world.quote({ nodeIds: [roomy, full, roomy] });
    await world.reserve(world.quote({ nodeIds: [full] }));
    const attempt = () => world.reserve(quote, {}, { market });
    await refused(attempt, { code: "capacity_gone", extensions: { ranks: [1] } });
    const error = await attempt().catch((caught) => caught);
    expect(error.extensions.quote).toMatchObject({ object: "quote", nodes: 3, gpu: "cpu" });
    expect(await world.free(roomy)).toBe(8);
    const fresh = await world.reserve(error.extensions.quote.token);
    expect(fresh.nodes).toHaveLength(3);
  });

  test("when a machine is offline or unknown, or asked for more than it has", async () => {
    const offline = await world.node(8);
    await world.db.execute(sql`UPDATE nodes SET status = 'offline' WHERE id = ${offline}`);
    for (const token of [
      world.quote({ nodeIds: [offline] }),
      world.quote({ nodeIds: ["nd_01jmq8rx1rf3d9w4k1q3k3zzzz" as never] }),
      world.quote({ nodeIds: [await world.node(4)], gpus: 5 }),
    ]) {
      await refused(() => world.reserve(token, {}, { market: newMarket() }), { code: "capacity_gone" });
    }
  });

  test("with a refund address that nobody can have the key of, or that is ours", async () => {
    const quote = world.quote({ nodeIds: [await world.node(1)] });
    const { treasuryAddress, usdcMint } = world.services.settings;
    const [tokenAccount] = await findAssociatedTokenPda({
      owner: address(WALLET),
      mint: address(usdcMint),
      tokenProgram: TOKEN_PROGRAM_ADDRESS,
    });
    for (const refund_address of ["not-an-address", treasuryAddress, usdcMint, "1".repeat(31), tokenAccount]) {
      await refused(() => world.reserve(quote, { refund_address }), { code: "address_invalid" });
    }
  });

  test("with text that can't be stored", async () => {
    const quote = world.quote({ nodeIds: [await world.node(1)] });
    for (const parts of [
      { name: "a\0b" },
      { metadata: { "\ud800": "x" } },
      { env: { A: "\udfff" } },
      { startup_script: "echo \0" },
    ]) {
      await refused(() => world.reserve(quote, parts), { code: "invalid_field" });
    }
  });

  test("when the caller has too many unpaid reservations; paying or tearing down makes room", async () => {
    const strict = { ...world.services, settings: { ...world.services.settings, holdsPerCallerMax: 2 } };
    const nodeId = await world.node(8);
    const context = { ...strict, callerHash: "hoarder" };
    const token = () => world.quote({ nodeIds: [nodeId] });
    const first = await world.reserve(token(), {}, context);
    const second = await world.reserve(token(), {}, context);
    await refused(() => world.reserve(token(), {}, context), { code: "holds_exceeded" });
    await world.pay(first.payment);
    const third = await world.reserve(token(), {}, context);
    await refused(() => world.reserve(token(), {}, context), { code: "holds_exceeded" });
    await world.teardown(second);
    await world.teardown(third);
    await world.reserve(token(), {}, context);
    await world.reserve(token(), {}, { ...strict, callerHash: "somebody else" });
  });
});
