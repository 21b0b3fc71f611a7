/** Payments that are not what was asked for, used twice, or never land; and those who would have our fee payer pay more. */
import { address, createSolanaRpc, generateKeyPairSigner, type KeyPairSigner } from "@solana/kit";
import { getTransferSolInstruction, SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import type { Cluster, Problem, Quote } from "@volley/schema";
import { count, eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clusters, idempotencyKeys, sponsoredTransactions } from "../../api/db/tables.ts";
import { graphqlFace, restFace, sdkFace } from "../contract/faces.ts";
import { freshKey, quoteFor } from "../contract/rentals.ts";
import { createTestApp, type TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { ata, memoOf, naming, type PaymentChanges, paymentFor, type Requirements } from "./payment.ts";

let app: TestApp;
let stranger: KeyPairSigner;
beforeAll(async () => {
  app = await createTestApp();
  await app.join(16);
  await until("the machine is on offer", async () => {
    const wish = { gpu: "cpu", nodes: 1, gpus_per_node: 1, duration_seconds: 3600 };
    return (await restFace(app.url).call("quotes.create", wish)).output !== undefined;
  });
  stranger = await generateKeyPairSigner();
  app.chain.chain.faucet({ address: stranger.address, lamports: 1_000_000_000n, microUsdc: 50_000_000n });
}, 60_000);
afterAll(() => app?.close(), 60_000);

const newQuote = () => quoteFor(restFace(app.url), { nodes: 1 });
const blockhash = async () =>
  (await createSolanaRpc(app.chain.rpcUrl).getLatestBlockhash({ commitment: "confirmed" }).send()).value.blockhash;
const sizes = async () => ({
  clusters: (await app.database.db.select({ n: count() }).from(clusters))[0]?.n,
  claims: (await app.database.db.select({ n: count() }).from(sponsoredTransactions))[0]?.n,
});

interface Asked {
  readonly quote: Quote;
  readonly more?: Record<string, unknown>;
  readonly key?: string;
  readonly payment?: string;
}

async function ask({ quote, more = {}, key = freshKey(), payment }: Asked): Promise<Response> {
  return await fetch(`${app.url}/v1/clusters`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "idempotency-key": key,
      ...(payment === undefined ? {} : { "payment-signature": payment }),
    },
    body: JSON.stringify({ quote_token: quote.token, payment: { rail: "x402" }, ...more }),
  });
}

const decode = (header: string | null) => JSON.parse(Buffer.from(header ?? "", "base64").toString("utf8"));

async function requirementsFor(asked: Asked): Promise<Requirements> {
  const answer = await ask(asked);
  expect(answer.status).toBe(402);
  const required = decode(answer.headers.get("payment-required"));
  expect(required).toMatchObject({
    x402Version: 2,
    resource: { url: expect.stringMatching(/^http.*\/v1\/clusters$/) },
  });
  const problem = (await answer.json()) as Problem & { x402: unknown };
  expect(problem).toMatchObject({ code: "payment_required", x402: required });
  return required.accepts[0];
}

describe("a payment that isn't what was asked for is refused, and nothing is reserved", () => {
  const cases: [string, PaymentChanges | (() => PaymentChanges | Promise<PaymentChanges>), RegExp][] = [
    ["less", { amount: 1n }, /amount_mismatch/],
    ["more", { amount: 10_000_000n }, /amount_mismatch/],
    ["to another wallet", () => ({ to: stranger.address }), /recipient_mismatch/],
    ["another memo", { memo: "volley:other" }, /memo_mismatch/],
    ["no memo", { memo: null }, /instructions_length/],
    ["two memos", { after: [memoOf("more")] }, /memo_count/],
    ["a fee payer of its own", () => ({ feePayer: app.payer.address }), /fee_payer_mismatch/],
    ["a dear priority fee", { units: 400_000, priceMicroLamports: 5_000_000n }, /price_instruction_too_high/],
    ["a dearer one", { priceMicroLamports: 5_000_001n }, /price_instruction_too_high/],
    ["too many compute units", { units: 1_400_000 }, /limit_instruction_too_high/],
    ["something before", { before: [memoOf("first")] }, /compute_limit_instruction/],
    [
      "a program that nobody needs",
      () => ({ after: [naming(SYSTEM_PROGRAM_ADDRESS, stranger.address)] }),
      /unknown_optional_instruction/,
    ],
    ["a blockhash that never was", { blockhash: "11111111111111111111111111111112" }, /blockhash has expired/],
    ["other terms accepted", { accepted: { amount: "1" } }, /not what this request asks for/],
    ["another network accepted", { accepted: { network: "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp" } }, /not what/],
    ["more accepted than asked", { accepted: { extra: { feePayer: "", memo: "" } } }, /not what this request/],
    [
      "bytes changed after signing",
      { tamper: (wire) => wire.map((byte, at) => (at === wire.length - 3 ? byte ^ 1 : byte)) },
      /invalid_exact_svm_payload/,
    ],
    ["bytes behind the end", { tamper: (wire) => Uint8Array.from([...wire, 0]) }, /invalid_exact_svm_payload/],
    ["half a transaction", { tamper: (wire) => wire.slice(0, wire.length >> 1) }, /could_not_be_decoded/],
  ];
  test.each(cases)("%s", async (_, changed, reason) => {
    const before = await sizes();
    const quote = await newQuote();
    const asked = await requirementsFor({ quote });
    const changes = typeof changed === "function" ? await changed() : changed;
    const answer = await ask({ quote, payment: await paymentFor(asked, app.payer, await blockhash(), changes) });
    expect(answer.status).toBe(402);
    expect(await answer.json()).toMatchObject({ code: "payment_invalid", detail: expect.stringMatching(reason) });
    const again = decode(answer.headers.get("payment-required"));
    expect(again).toMatchObject({ error: expect.stringMatching(reason), accepts: [asked] });
    expect(await sizes()).toEqual(before);
  });

  test("the fee payer's own SOL", async () => {
    const quote = await newQuote();
    const asked = await requirementsFor({ quote });
    const feePayer = address(asked.extra.feePayer);
    const steal = getTransferSolInstruction({
      source: { address: feePayer, signTransactions: async () => [] },
      destination: stranger.address,
      amount: 1_000_000n,
    });
    for (const after of [[steal], [naming(SYSTEM_PROGRAM_ADDRESS, feePayer)]]) {
      const payment = await paymentFor(asked, app.payer, await blockhash(), { after });
      const answer = await ask({ quote, payment });
      expect(await answer.json()).toMatchObject({
        code: "payment_invalid",
        detail: expect.stringMatching(/fee_payer/),
      });
    }
  });

  test("another token of the same name", async () => {
    const quote = await newQuote();
    const asked = await requirementsFor({ quote });
    const mint = (await generateKeyPairSigner()).address;
    const answer = await ask({ quote, payment: await paymentFor(asked, app.payer, await blockhash(), { mint }) });
    expect(await answer.json()).toMatchObject({
      code: "payment_invalid",
      detail: expect.stringMatching(/mint_mismatch/),
    });
  });

  test("of somebody who hasn't that much", async () => {
    const poor = await generateKeyPairSigner();
    app.chain.chain.faucet({ address: poor.address, microUsdc: 5n });
    const quote = await newQuote();
    const payment = await paymentFor(await requirementsFor({ quote }), poor, await blockhash());
    const answer = await ask({ quote, payment });
    expect(await answer.json()).toMatchObject({
      code: "payment_invalid",
      detail: expect.stringMatching(/insufficient/),
    });
  });

  test.each(["", "?", "e30=", Buffer.from('{"x402Version":1}').toString("base64"), "A".repeat(9_000)])(
    "a header that holds none: %.20s",
    async (payment) => {
      const answer = await ask({ quote: await newQuote(), payment });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      const { code } = (await answer.json()) as Problem;
      expect(["payment_invalid", "payment_required"]).toContain(code);
    },
  );

  test("with a rail that takes none", async () => {
    const quote = await newQuote();
    const answer = await ask({ quote, payment: "e30=", more: { payment: { rail: "solana_pay" } } });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: "invalid_field" });
  });
});

describe("a payment is bound to its request", () => {
  test("another quote, another body, or another account's: it pays for none of them", async () => {
    const quote = await newQuote();
    const payment = await paymentFor(await requirementsFor({ quote }), app.payer, await blockhash());
    const before = await sizes();
    for (const asked of [{ quote: await newQuote() }, { quote, more: { name: "other" } }]) {
      const answer = await ask({ ...asked, payment });
      expect(await answer.json()).toMatchObject({ code: "payment_invalid", detail: expect.stringMatching(/not what/) });
    }
    expect(await sizes()).toEqual(before);
  });

  test("used 50 times at once with one key it is one cluster and one charge", { timeout: 60_000 }, async () => {
    const quote = await newQuote();
    const key = freshKey();
    const payer = await generateKeyPairSigner();
    app.chain.chain.faucet({ address: payer.address, microUsdc: 50_000_000n });
    const payment = await paymentFor(await requirementsFor({ quote }), payer, await blockhash());
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask({ quote, key, payment })));
    const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as Cluster[];
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(bodies.map(({ id }) => id)).size).toBe(1);
    expect(new Set(bodies.map(({ secret }) => secret)).size).toBe(1);
    const source = await ata(payer.address, address(app.chain.usdcMint));
    const left = await app.services.chain.tokenBalance(source, "confirmed");
    expect(left).toBe(50_000_000n - BigInt(quote.total.amount.replace(".", "")));
  });

  test("repeated from another network address it is the same cluster, also when its payer has nothing left", {
    timeout: 60_000,
  }, async () => {
    const quote = await newQuote();
    const key = freshKey();
    const payer = await generateKeyPairSigner();
    app.chain.chain.faucet({ address: payer.address, microUsdc: BigInt(quote.total.amount.replace(".", "")) });
    const payment = await paymentFor(await requirementsFor({ quote }), payer, await blockhash());
    const first = (await (await ask({ quote, key, payment })).json()) as Cluster;
    // As if this had been asked from elsewhere.
    const { db } = app.database;
    await db.update(clusters).set({ callerHash: "elsewhere" }).where(eq(clusters.id, first.id));
    await db.update(idempotencyKeys).set({ scope: "clusters.reserve:elsewhere" }).where(eq(idempotencyKeys.key, key));
    const again = await ask({ quote, key, payment });
    expect(again.status).toBe(201);
    expect(await again.json()).toMatchObject({ id: first.id, secret: first.secret });
    const other = await ask({ quote, payment });
    expect(await other.json()).toMatchObject({ code: "payment_invalid" });
  });

  test("used 20 times at once with as many keys it is one cluster", { timeout: 60_000 }, async () => {
    const quote = await newQuote();
    const before = await sizes();
    const payment = await paymentFor(await requirementsFor({ quote }), app.payer, await blockhash());
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask({ quote, payment })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    for (const answer of answers) {
      if (answer.status === 201) continue;
      expect(["quote_used", "payment_used"]).toContain(((await answer.json()) as Problem).code);
    }
    const after = await sizes();
    expect([Number(after.clusters) - Number(before.clusters), Number(after.claims) - Number(before.claims)]).toEqual([
      1, 1,
    ]);
  });
});

test("a payment that has bought a cluster buys no other, even where nothing else would stand in its way", async () => {
  const quote = await newQuote();
  const payment = await paymentFor(await requirementsFor({ quote }), app.payer, await blockhash());
  const bought = (await (await ask({ quote, payment })).json()) as Cluster;
  // As if the quote had never been used: the claim of the payment is a rule of its own.
  const freed = { quoteId: `${bought.quote_id}-freed` };
  await app.database.db.update(clusters).set(freed).where(eq(clusters.id, bought.id));
  const before = await sizes();
  const again = await ask({ quote, payment });
  expect(await again.json()).toMatchObject({ code: "payment_used" });
  expect(await sizes()).toEqual(before);
});

test("money that is gone before the payment lands: it fails, and the machines are free again", {
  timeout: 60_000,
}, async () => {
  const total = BigInt((await newQuote()).total.amount.replace(".", ""));
  const payer = await generateKeyPairSigner();
  app.chain.chain.faucet({ address: payer.address, microUsdc: 2n * total });
  // Each of four payments is good, and there is money for two.
  const asked: Asked[] = [];
  for (let number = 0; number < 4; number++) {
    const quote = await newQuote();
    const [requirements, hash] = [await requirementsFor({ quote }), await blockhash()];
    asked.push({ quote, payment: await paymentFor(requirements, payer, hash) });
  }
  const answers = await Promise.all(asked.map((one) => ask(one)));
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(2);
  for (const answer of answers) {
    if (answer.status === 201) continue;
    expect(answer.status).toBe(402);
    if (((await answer.json()) as Problem).code === "payment_invalid") continue;
    expect(decode(answer.headers.get("payment-response"))).toMatchObject({ success: false });
  }
  await until("what was held is free again", async () => {
    const all = await app.database.db.select({ status: clusters.status }).from(clusters);
    return all.every(({ status }) => status !== "awaiting_payment");
  });
});

test.each([
  ["GraphQL", graphqlFace],
  ["SDK", sdkFace],
])("the same through %s, with the payment as a field", { timeout: 60_000 }, async (_, faceAt) => {
  const face = faceAt(app.url);
  const quote = await quoteFor(face, { nodes: 1 });
  const key = freshKey();
  const input = { quote_token: quote.token, payment: { rail: "x402" } };
  const refused = await face.call("clusters.reserve", input, { idempotencyKey: key });
  expect(refused.problem).toMatchObject({ code: "payment_required" });
  const asked = await requirementsFor({ quote });
  const payment = await paymentFor(asked, app.payer, await blockhash());
  const paid = await face.call(
    "clusters.reserve",
    { ...input, payment: { rail: "x402", x402_payload: payment } },
    { idempotencyKey: key },
  );
  expect(paid.output).toMatchObject({ status: "provisioning", payment: { rail: "x402", status: "settled" } });
});
