/** The contract, as every face of every runtime has to keep it. One matrix; the faces and the server are given. */

import { createSolanaRpc, generateKeyPairSigner } from "@solana/kit";
import { type Cluster, OPERATIONS } from "@volley/schema";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemContext } from "../../api/context.ts";
import { createQuote } from "../../api/market/create-quote.ts";
import { signatureOver } from "../harness/account.ts";
import type { TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import { paymentFor, type Requirements } from "../x402/payment.ts";
import { type Face, graphqlFace, type Input, restFace, sdkFace } from "./faces.ts";
import { fail, freshKey, pay, quoteFor, rent, reserve, succeed, untilStatus } from "./rentals.ts";

const SLOTS = 48;
const WISH = { gpu: "cpu", nodes: 1, gpus_per_node: 1, duration_seconds: 3600 };
const SOMEBODY = "vly_cl_nobodyreservedwiththis";

const badWishes: readonly [what: string, wish: Input, code: string, detail?: RegExp][] = [
  ["an unknown GPU", { ...WISH, gpu: "h100-smx" }, "unknown_gpu", /h100-sxm/],
  ["a shape that no machine has", { ...WISH, gpus_per_node: 64 }, "gang_impossible"],
  ["more machines than there are", { ...WISH, nodes: 1000 }, "gang_impossible"],
  ["no nodes", { ...WISH, nodes: 0 }, "size_out_of_range"],
  ["fewer than no nodes", { ...WISH, nodes: -1 }, "size_out_of_range"],
  ["absurdly many nodes", { ...WISH, nodes: 1_000_000 }, "size_out_of_range"],
  ["no GPUs", { ...WISH, gpus_per_node: 0 }, "size_out_of_range"],
  ["no duration", { ...WISH, duration_seconds: 0 }, "duration_out_of_range"],
  ["a negative duration", { ...WISH, duration_seconds: -60 }, "duration_out_of_range"],
  ["an absurd duration", { ...WISH, duration_seconds: 2_000_000_000 }, "duration_out_of_range"],
  ["a price above the cap", { ...WISH, max_price_per_gpu_hour: "0.000001" }, "price_above_cap"],
  ["an unknown field", { ...WISH, node: 1 }, "unknown_field", /node/],
  ["a wrong type", { ...WISH, nodes: "two" }, "invalid_field", /two/],
  ["a missing field", { gpu: "cpu" }, "invalid_field"],
  ["a wrong choice", { ...WISH, prefer: "luck" }, "invalid_field"],
  ["money in exponents", { ...WISH, max_price_per_gpu_hour: "1e3" }, "invalid_field"],
];

export function contractSuite(start: () => Promise<TestApp>): void {
  let app: TestApp;
  const faces: Record<string, Face> = {};
  const faceOf = (name: string): Face => {
    const face = faces[name];
    if (face === undefined) throw new Error(`there is no face ${name}`);
    return face;
  };

  beforeAll(async () => {
    app = await start();
    for (const face of [restFace(app.url), graphqlFace(app.url), sdkFace(app.url)]) faces[face.name] = face;
    await app.join(SLOTS);
    await until("the machine is on offer", async () => {
      const { output } = await faceOf("REST").call("quotes.create", WISH);
      return output !== undefined;
    });
  }, 240_000);
  afterAll(() => app?.close(), 120_000);

  describe.each(["REST", "GraphQL", "SDK"])("%s", (name) => {
    test.each(badWishes)("quoting refuses %s", async (_, wish, code, detail) => {
      const problem = await fail(faceOf(name), "quotes.create", wish, code);
      if (detail !== undefined) expect(JSON.stringify(problem)).toMatch(detail);
    });

    test("a wish that can't be met says what stood in the way, and what could be had instead", async () => {
      const face = faceOf(name);
      await reserve(face);
      await until("the reserved machines are seen taken", async () => {
        const { problem } = await face.call("quotes.create", { ...WISH, nodes: SLOTS });
        return problem?.code === "gang_unavailable" && problem.retryable;
      });
      for (const wish of [
        { ...WISH, nodes: 1000 },
        { ...WISH, max_price_per_gpu_hour: "0.000001" },
      ]) {
        const { problem } = await face.call("quotes.create", wish);
        expect(problem?.constraint).toBeTypeOf("string");
        expect(problem?.alternatives).toBeInstanceOf(Array);
      }
    });

    test("lists have cursors that end, and refuse foreign ones", async () => {
      const face = faceOf(name);
      const page = await succeed(face, "offers.list", { limit: 1 });
      expect(page.data).toHaveLength(1);
      expect((await succeed(face, "gpus.list", {})).next_cursor).toBeNull();
      for (const cursor of ["nonsense", "WyJhIl0", "%%%"]) {
        await fail(face, "offers.list", { cursor }, "invalid_cursor");
        await fail(face, "gpus.list", { cursor }, "invalid_cursor");
      }
      await fail(face, "offers.list", { gpu: "h1000" }, "unknown_gpu");
      expect((await succeed(face, "network.get", {})).gpus).toBeGreaterThanOrEqual(SLOTS);
    });

    test("a quote token is refused forged, altered, expired and used", async () => {
      const face = faceOf(name);
      const quote = await quoteFor(face);
      const attempt = (token: string, code: string) =>
        fail(face, "clusters.reserve", { quote_token: token }, code, { idempotencyKey: freshKey() });
      const middle = Math.floor(quote.token.length / 2);
      const flipped = quote.token[middle] === "A" ? "B" : "A";
      await attempt("not.a.token", "quote_invalid");
      await attempt(`${quote.token}A`, "quote_invalid");
      await attempt(quote.token.slice(0, middle) + flipped + quote.token.slice(middle + 1), "quote_invalid");
      const system = systemContext(app.services, new AbortController().signal);
      const past = { ...app.services.clock, nowMs: () => app.services.clock.nowMs() - 3_600_000 };
      await app.services.market.refresh(app.services);
      const expired = await createQuote({ ...system, clock: past }, OPERATIONS["quotes.create"].input.parse(WISH));
      await attempt(expired.token, "quote_expired");
      const check = await succeed(face, "quotes.get", { token: quote.token });
      expect(check).toMatchObject({ holds: true, reason: "holds" });
      await succeed(face, "clusters.reserve", { quote_token: quote.token }, { idempotencyKey: freshKey() });
      await attempt(quote.token, "quote_used");
      expect((await succeed(face, "quotes.get", { token: quote.token })).reason).toBe("used");
      await fail(face, "quotes.get", { token: "not.a.token" }, "quote_invalid");
      // As long as that of a gang of the largest size.
      await fail(face, "quotes.get", { token: quote.token.padEnd(30_000, "A") }, "quote_invalid");
    });

    test("a key makes a repetition harmless, and is refused for anything else", async () => {
      const face = faceOf(name);
      const quote = await quoteFor(face);
      const idempotencyKey = freshKey();
      const input = { quote_token: quote.token, name: "one" };
      const first = await succeed(face, "clusters.reserve", input, { idempotencyKey });
      expect(await succeed(face, "clusters.reserve", input, { idempotencyKey })).toEqual(first);
      await fail(face, "clusters.reserve", { ...input, name: "two" }, "idempotency_mismatch", { idempotencyKey });
      await fail(face, "clusters.reserve", input, "idempotency_key_invalid", { idempotencyKey: "x".repeat(300) });
      // The SDK makes a key where none is given.
      if (name !== "SDK") await fail(face, "clusters.reserve", input, "idempotency_key_missing");
    });

    test("reserving refuses addresses and names that can't be", async () => {
      const face = faceOf(name);
      const { token } = await quoteFor(face);
      const attempt = (more: Input, code: string) =>
        fail(face, "clusters.reserve", { quote_token: token, ...more }, code, { idempotencyKey: freshKey() });
      await attempt({ refund_address: "not an address" }, "invalid_field");
      await attempt({ refund_address: app.chain.usdcMint }, "address_invalid");
      await attempt({ env: { "NOT-A-NAME": "1" } }, "invalid_field");
      await attempt({ env: { VOLLEY_RANK: "7" } }, "invalid_field");
      await attempt({ payment: { rail: "cash" } }, "invalid_field");
    });

    test("the wrong secret answers as a missing cluster does", async () => {
      const face = faceOf(name);
      const { cluster, secret } = await reserve(face);
      const { id } = cluster;
      const foreign = await fail(face, "clusters.get", { id }, "not_found", { secret: SOMEBODY });
      const missingId = id.slice(0, -4) + (id.endsWith("0000") ? "0001" : "0000");
      const missing = await fail(face, "clusters.get", { id: missingId }, "not_found", { secret });
      expect({ ...foreign, request_id: "" }).toEqual({ ...missing, request_id: "" });
      await fail(face, "clusters.get", { id }, "unauthenticated");
      await fail(face, "clusters.get", { id: "nd_1" }, "invalid_field", { secret });
      expect((await succeed(face, "clusters.list", {}, { secret: SOMEBODY })).data).toEqual([]);
      expect((await succeed(face, "clusters.list", {}, { secret })).data.map((one) => one.id)).toEqual([id]);
    });

    test("a rental from quote to refund", async () => {
      const face = faceOf(name);
      const held = await rent(app, face, { refund_address: app.payer.address, metadata: { Some_Key: "kept" } });
      const { cluster, secret } = held;
      const { id } = cluster;
      const running = await succeed(face, "clusters.get", { id }, { secret });
      expect(running).toMatchObject({ metadata: { Some_Key: "kept" }, payment: { status: "settled" }, secret: null });
      expect(running.nodes.map((node) => node.status)).toEqual(["ready", "ready"]);
      const nodeId = running.nodes[0]?.node_id ?? "";
      expect((await succeed(face, "nodes.get", { id: nodeId })).gpu).toBe("cpu");

      const output = await face.stream("clusters.exec", { id, command: "echo $VOLLEY_RANK" }, { secret });
      const texts = output.map(
        (outcome) => outcome.output as { type: string; rank: number; data: string; code: number },
      );
      expect(
        texts
          .filter((one) => one.type === "stdout")
          .map((one) => `${one.rank}:${one.data.trim()}`)
          .sort(),
      ).toEqual(["0:0", "1:1"]);
      expect(texts.filter((one) => one.type === "exit").map((one) => one.code)).toEqual([0, 0]);
      for (const text of texts) expect(OPERATIONS["clusters.exec"].output.parse(text)).toEqual(text);

      const extend = { id, duration_seconds: 600, dry_run: true };
      const extension = await succeed(face, "clusters.extend", extend, { secret, idempotencyKey: freshKey() });
      expect(extension).toMatchObject({ dry_run: true, payment: null });
      await fail(face, "clusters.extend", { ...extend, duration_seconds: 1 }, "duration_out_of_range", {
        secret,
        idempotencyKey: freshKey(),
      });

      const stopping = await succeed(face, "clusters.teardown", { id }, { secret });
      expect(stopping.bill?.refund.amount.amount).not.toBe("0.000000");
      const ended = await fail(face, "clusters.teardown", { id }, "cluster_ended", { secret });
      expect(ended.bill ?? ended.cluster).toBeDefined();
      const refused = await face.stream("clusters.exec", { id, command: "true" }, { secret });
      expect(refused.map((outcome) => outcome.problem?.code)).toEqual(["cluster_not_running"]);
      await untilStatus(face, held, "stopped");
      await fail(face, "clusters.extend", extend, "cluster_not_running", { secret, idempotencyKey: freshKey() });

      const events = await face.stream("clusters.events", { id, follow: false }, { secret });
      const types = events.map((outcome) => (outcome.output as { type: string }).type);
      expect(types.slice(0, 1)).toEqual(["cluster.reserved"]);
      for (const type of ["payment.settled", "cluster.paid", "cluster.running", "cluster.stopped"])
        expect(types).toContain(type);
      for (const { output: event } of events) expect(OPERATIONS["clusters.events"].output.parse(event)).toEqual(event);

      const refundId = stopping.bill?.refund.id ?? "";
      const refund = await succeed(face, "refunds.get", { id: refundId }, { secret });
      expect(refund).toMatchObject({ to: app.payer.address, amount: stopping.bill?.refund.amount });
      await fail(face, "refunds.get", { id: refundId }, "not_found", { secret: SOMEBODY });
      const paid = await succeed(face, "payments.get", { id: cluster.payment.id }, { secret });
      expect(paid.refunds).toMatchObject([{ id: refundId, to: app.payer.address, amount: refund.amount }]);
      const again = { cluster_id: id, to: app.payer.address };
      await fail(face, "refunds.create", again, "nothing_to_refund", { secret, idempotencyKey: freshKey() });
    }, 120_000);

    test("a cluster is paid by x402: refused with what to pay, then paid in the same request", async () => {
      const face = faceOf(name);
      const quote = await quoteFor(face, { nodes: 1 });
      const wanted = { quote_token: quote.token, payment: { rail: "x402" } };
      const key = { idempotencyKey: freshKey() };
      await fail(face, "clusters.reserve", wanted, "payment_required", key);
      // The same for every face, since it is bound to the operation and its input; REST shows it as x402 spells it.
      const refusal = await fail(faceOf("REST"), "clusters.reserve", wanted, "payment_required", key);
      const [requirements] = (refusal.x402 as { accepts: Requirements[] }).accepts;
      if (requirements === undefined) throw new Error("it asks for nothing");
      const { value } = await createSolanaRpc(app.chain.rpcUrl).getLatestBlockhash({ commitment: "confirmed" }).send();
      const x402_payload = await paymentFor(requirements, app.payer, value.blockhash);
      const paid = { ...wanted, payment: { rail: "x402", x402_payload } };
      const cluster = await succeed(face, "clusters.reserve", paid, key);
      expect(cluster.payment).toMatchObject({ rail: "x402", status: "settled", received: quote.total });
      expect(await succeed(face, "clusters.reserve", paid, key)).toEqual(cluster);
      await succeed(face, "clusters.teardown", { id: cluster.id }, { secret: cluster.secret ?? "" });
    }, 60_000);

    test("a wallet signs in, fills its balance and reserves from it", async () => {
      const face = faceOf(name);
      const wallet = await generateKeyPairSigner();
      const asked = { address: wallet.address, purpose: "sign_in" };
      const { nonce, message } = await succeed(face, "auth.challenge", asked);
      const signature = await signatureOver(wallet, message);
      const { token: secret } = await succeed(face, "auth.session", { nonce, signature });
      const key = () => ({ secret, idempotencyKey: freshKey() });
      const topup = await succeed(face, "topups.create", { amount: "25" }, key());
      await pay(app, solanaPayOf(topup).url);
      const balance = () => succeed(face, "balance.get", {}, { secret });
      await until("the top-up is balance", async () => (await balance()).available.amount === "25.000000");
      const quote = await quoteFor(face, { nodes: 1 });
      const wanted = { quote_token: quote.token, payment: { rail: "balance" } };
      const cluster = await succeed(face, "clusters.reserve", wanted, key());
      expect(cluster).toMatchObject({ secret: null, payment: { rail: "balance", status: "settled" } });
      expect((await balance()).held).toEqual(quote.total);
      await succeed(face, "clusters.teardown", { id: cluster.id }, { secret });
      const { data: transfers } = await succeed(face, "transfers.list", {}, { secret });
      expect(transfers.length).toBeGreaterThan(0);
      expect((await succeed(face, "unallocated.list", {}, { secret })).data).toEqual([]);
      await fail(face, "balance.get", {}, "credential_invalid", { secret: "vly_s_nobody" });
    }, 60_000);
  });

  test("a payment's page and its transaction request ask for no credential", async () => {
    const { cluster } = await reserve(faceOf("REST"));
    const { checkout_url, id } = cluster.payment;
    const { pathname } = new URL(checkout_url ?? "");
    const page = await fetch(`${app.url}${pathname}`);
    const html = await page.text();
    expect({ status: page.status, type: page.headers.get("content-type") }).toEqual({
      status: 200,
      type: "text/html; charset=utf-8",
    });
    expect(page.headers.get("content-security-policy")).toMatch(/script-src 'nonce-[\w-]{22}'/);
    expect(html).toContain('data-state="due"');
    const events = await fetch(`${app.url}${pathname}/events`);
    const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
    let received = "";
    while (!received.includes('\\"due\\"')) received += (await reader?.read())?.value ?? "";
    await reader?.cancel();
    // What is shown already isn't put in anew.
    expect(html).toContain(`data-shown="${/^id: (\S{43})$/m.exec(received)?.[1]}"`);
    const asked = await fetch(`${app.url}/v1/payments/${id}/transaction`);
    expect(await asked.json()).toEqual({ label: "Volley", icon: expect.stringMatching(/\/icon\.svg$/) });
    expect((await fetch(`${app.url}/icon.svg`)).headers.get("content-type")).toBe("image/svg+xml");
    const answer = await fetch(`${app.url}/v1/payments/${id}/transaction`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      // A wallet of a later specification adds a field.
      body: JSON.stringify({ account: app.payer.address, capabilities: [] }),
    });
    expect(await answer.json()).toMatchObject({ transaction: expect.stringMatching(/^AQAAAA/) });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    // Wallets show the `message` of a refusal.
    const refusal = await fetch(`${app.url}/v1/payments/${id.replace(/.{4}$/, "0000")}/transaction`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ account: app.payer.address }),
    });
    expect(refusal.status).toBe(404);
    expect(await refusal.json()).toMatchObject({ code: "not_found", message: "There is no such payment." });
  });

  test("money that is too little, too much, or for another payment", async () => {
    const face = faceOf("REST");
    const [under, over] = [await reserve(face), await reserve(face)];
    const paymentOf = async ({ cluster, secret }: { cluster: Cluster; secret: string }) =>
      succeed(face, "payments.get", { id: cluster.payment.id }, { secret });
    const priced = (url: string, amount: string) => url.replace(/amount=[0-9.]+/, `amount=${amount}`);
    await pay(app, priced(solanaPayOf(under.cluster.payment).url, "0.5"));
    await pay(app, priced(solanaPayOf(over.cluster.payment).url, "100"));
    await until("the partial payment is seen", async () => (await paymentOf(under)).received.amount === "0.500000");
    const partly = await paymentOf(under);
    expect(partly.notices.map((notice) => notice.code)).toEqual(["underpaid"]);
    expect(partly.status).toBe("detected");
    await pay(app, priced(solanaPayOf(under.cluster.payment).url, partly.missing.amount));
    const settled = await untilStatus(face, under, "running");
    expect(settled.payment.status).toBe("settled");
    const rich = await untilStatus(face, over, "running");
    expect(rich.payment.notices.map((notice) => notice.code)).toEqual(["overpaid"]);
    expect(Number(rich.credit.amount)).toBeGreaterThan(80);
    const refund = { cluster_id: over.cluster.id, to: app.payer.address };
    const key = { idempotencyKey: freshKey() };
    await fail(face, "refunds.create", refund, "unauthenticated", key);
    await fail(face, "refunds.create", { ...refund, to: app.chain.usdcMint }, "address_invalid", {
      secret: over.secret,
      ...key,
    });
    const created = await succeed(face, "refunds.create", refund, { secret: over.secret, ...key });
    expect(created.amount).toEqual(rich.credit);
    expect(await succeed(face, "refunds.create", refund, { secret: over.secret, ...key })).toEqual(created);
  }, 120_000);
}
