import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toCamelCaseKeys } from "@volley/schema/casing";
import { makeId } from "@volley/schema/ids";
import { toMoney } from "@volley/schema/money";
import type { ReceiptContent } from "@volley/schema/resources/receipt";
import { verifyReceipts } from "@volley/sdk";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { bill, computeCharge } from "../../api/market/price.ts";
import { type ReceiptKeys, receiptKeys } from "../../api/receipts/receipt-keys.ts";
import { receiptHash, signReceipt } from "../../api/receipts/sign-receipt.ts";
import { EXIT } from "../../sdk/cli/exit-codes.ts";
import { homeFolder, volley } from "../cli/terminal.ts";
import { fakeApi } from "../sdk/fake-api.ts";

let keys: ReceiptKeys;
let others: ReceiptKeys;
beforeAll(async () => {
  const read = async (byte: number) =>
    receiptKeys({ receiptKeys: [Buffer.alloc(32, byte).toString("base64url")] }) as Promise<ReceiptKeys>;
  [keys, others] = [await read(1), await read(2)];
});
const keySet = () => ({ keys: keys.published as unknown as Record<string, unknown>[] });
const id = <Kind extends "receipt" | "cluster" | "quote" | "payment" | "node">(kind: Kind) =>
  makeId(kind, 1_700_000_000_000, strongRandom().bytes(10));

interface Rental {
  readonly gpus: number;
  readonly seconds: number;
  readonly rates: readonly bigint[];
  readonly feeBps: number;
  readonly surplus: bigint;
  readonly onChain: boolean;
}

/** A receipt as the API would write it for such a rental. */
function contentOf(rental: Rental, place: Partial<ReceiptContent> = {}): ReceiptContent {
  const { gpus, seconds, rates, feeBps, surplus, onChain } = rental;
  const uses = rates.map((rateMicroUsdcPerGpuHour) => ({ rateMicroUsdcPerGpuHour, gpus, seconds }));
  const charges = bill(uses, feeBps);
  const paid = charges.totalMicroUsdc + surplus;
  const to = onChain ? "wallet" : "balance";
  return {
    id: id("receipt"),
    issuer: "https://volley.test",
    chain: "acct_1",
    sequence: 1,
    previous_hash: null,
    issued_at: "2026-01-01T00:00:00.000Z",
    cluster_id: id("cluster"),
    quote_id: id("quote"),
    quoted: toMoney(paid),
    gpu: "cpu",
    gpus_per_node: gpus,
    ready_at: "2026-01-01T00:00:00.000Z",
    ended_at: "2026-01-01T00:10:00.000Z",
    status_reason: "released",
    nodes: uses.map((use, rank) => ({
      rank,
      node_id: id("node"),
      country: "DE",
      seconds,
      price_per_gpu_hour: toMoney(use.rateMicroUsdcPerGpuHour),
      amount: toMoney(computeCharge(use)),
    })),
    compute: toMoney(charges.computeMicroUsdc),
    platform_fee_bps: feeBps,
    platform_fee: toMoney(charges.platformFeeMicroUsdc),
    charged: toMoney(charges.totalMicroUsdc),
    payments: [
      { id: id("payment"), purpose: "reserve", rail: "solana_pay", received: toMoney(paid), signatures: ["s"] },
    ],
    paid: toMoney(paid),
    refunds: surplus === 0n ? [] : [{ id: onChain ? "rfd_1" : null, amount: toMoney(surplus), to }],
    written_off: toMoney(0n),
    ...place,
  };
}

const RENTAL: Rental = { gpus: 8, seconds: 601, rates: [3_600_001n, 2n], feeBps: 500, surplus: 77n, onChain: true };

async function chainOf(count: number): Promise<string[]> {
  const chain: string[] = [];
  for (let sequence = 1; sequence <= count; sequence++) {
    const last = chain.at(-1);
    const previous_hash = last === undefined ? null : receiptHash(last);
    chain.push(await signReceipt(contentOf(RENTAL, { sequence, previous_hash }), keys));
  }
  return chain;
}

async function problemsOf(content: ReceiptContent, by: ReceiptKeys = keys): Promise<string> {
  const { ok, receipts, chains } = await verifyReceipts([await signReceipt(content, by)], keySet());
  const problems = [...receipts, ...chains].flatMap((one) => one.problems);
  expect(ok).toBe(problems.length === 0);
  return problems.join("; ");
}

const rentals = fc.record<Rental>({
  gpus: fc.integer({ min: 1, max: 16 }),
  seconds: fc.integer({ min: 0, max: 2_592_000 }),
  rates: fc.array(fc.bigInt({ min: 0n, max: 100_000_000n }), { minLength: 1, maxLength: 9 }),
  feeBps: fc.integer({ min: 0, max: 10_000 }),
  surplus: fc.bigInt({ min: 0n, max: 10_000_000_000n }),
  onChain: fc.boolean(),
});

/** Each amount of a receipt, by the way to it. */
const amounts: readonly [string, (content: ReceiptContent) => { amount: string } | undefined][] = [
  ["a node's amount", (content) => content.nodes[0]?.amount],
  ["compute", (content) => content.compute],
  ["the fee", (content) => content.platform_fee],
  ["charged", (content) => content.charged],
  ["a payment", (content) => content.payments[0]?.received],
  ["paid", (content) => content.paid],
  ["a refund", (content) => content.refunds[0]?.amount],
  ["what is written off", (content) => content.written_off],
];

describe("sums", () => {
  test("whatever was rented: what the API's arithmetic gives verifies", async () => {
    await fc.assert(
      fc.asyncProperty(rentals, async (rental) => {
        expect(await problemsOf(contentOf(rental))).toBe("");
      }),
      { numRuns: 60 },
    );
  });

  test("whatever was rented: one micro-USDC more or less at any one place doesn't, even with our own signature", async () => {
    await fc.assert(
      fc.asyncProperty(rentals, fc.constantFrom(...amounts), fc.constantFrom(1n, -1n), async (rental, [, at], by) => {
        const content = structuredClone(contentOf({ ...rental, surplus: rental.surplus + 1n }));
        const money = at(content);
        if (money === undefined) throw new Error("there is no such amount");
        const changed = BigInt(money.amount.replace(".", "")) + by;
        fc.pre(changed >= 0n);
        money.amount = toMoney(changed).amount;
        expect(await problemsOf(content)).not.toBe("");
      }),
      { numRuns: 100 },
    );
  });

  test("a node that costs more than its seconds is found, though all sums agree", async () => {
    const content = contentOf(RENTAL);
    const [node] = content.nodes;
    if (node === undefined) throw new Error("there is no node");
    const shorter = { ...content, nodes: [{ ...node, seconds: node.seconds - 1 }, ...content.nodes.slice(1)] };
    expect(await problemsOf(shorter)).toContain("costs more than its seconds");
  });
});

describe("signatures", () => {
  test.each([
    ["the payload", 1],
    ["the header", 0],
    ["the signature", 2],
  ])("a receipt of which %s was altered", async (_, part) => {
    const parts = (await signReceipt(contentOf(RENTAL), keys)).split(".");
    const text = Buffer.from(parts[part] ?? "", "base64url");
    const forged =
      part === 1
        ? Buffer.from(text.toString().replace('"DE"', '"FR"'))
        : part === 0
          ? Buffer.from(text.toString().replace("EdDSA", "none"))
          : Buffer.from(text.map((byte, index) => (index === 5 ? byte ^ 1 : byte)));
    parts[part] = forged.toString("base64url");
    const { ok, receipts } = await verifyReceipts([parts.join(".")], keySet());
    expect(ok).toBe(false);
    expect(receipts[0]?.problems[0]).toMatch(/signature|signed by none/);
  });

  test("another key, an unknown key, a key of another kind, and no receipt at all", async () => {
    expect(await problemsOf(contentOf(RENTAL), others)).toContain("the key set has no key");
    const [mine] = keys.published;
    const jws = await signReceipt(contentOf(RENTAL), keys);
    const posing = { keys: others.published.map((key) => ({ ...key, kid: mine?.kid })) };
    expect((await verifyReceipts([jws], posing)).receipts[0]?.problems[0]).toContain("signature doesn't match");
    const octet = { keys: [{ kty: "oct", kid: mine?.kid, k: mine?.x }] };
    expect((await verifyReceipts([jws], octet)).ok).toBe(false);
    for (const nonsense of ["", "a.b.c", "a", `${jws}.x`, "{}"]) {
      expect((await verifyReceipts([nonsense], keySet())).ok).toBe(false);
    }
    expect((await verifyReceipts([], keySet())).ok).toBe(false);
  });

  test("what stands beside the signature must say the same", async () => {
    const content = contentOf(RENTAL);
    const jws = await signReceipt(content, keys);
    const whole = { jws, id: content.id, hash: receiptHash(jws), content, anchor: null };
    expect((await verifyReceipts([whole, toCamelCaseKeys(whole) as typeof whole], keySet())).ok).toBe(true);
    const lies = [
      { ...whole, id: "rcp_1" },
      { ...whole, hash: "00" },
      { ...whole, content: { ...content, charged: toMoney(1n) } },
    ];
    for (const lie of lies) expect((await verifyReceipts([lie], keySet())).ok).toBe(false);
  });
});

describe("chains", () => {
  test("in any order, and twice, an unbroken chain verifies; a later part of it too", async () => {
    const chain = await chainOf(5);
    const all = await verifyReceipts([...chain.toReversed(), chain[2] ?? ""], keySet());
    expect(all).toMatchObject({ ok: true, chains: [{ chain: "acct_1", first: 1, last: 5, problems: [] }] });
    expect(await verifyReceipts(chain.slice(2), keySet())).toMatchObject({ ok: true, chains: [{ first: 3, last: 5 }] });
  });

  test("one that is left out, one that was put in its place, and a chain that begins anew", async () => {
    const chain = await chainOf(4);
    const problems = async (receipts: string[]) =>
      (await verifyReceipts(receipts, keySet())).chains.flatMap((one) => one.problems).join("; ");
    const [first = "", second = "", third = "", fourth = ""] = chain;
    expect(await problems([first, third, fourth])).toBe("receipt 2 is missing");
    expect(await problems([first, fourth])).toBe("receipts 2 to 3 are missing");
    const other = await signReceipt(contentOf(RENTAL, { sequence: 2, previous_hash: receiptHash(first) }), keys);
    expect(await problems([first, other, third])).toBe("receipt 3 doesn't name the hash of receipt 2");
    expect(await problems([first, second, other])).toBe("there are two receipts 2");
    const anew = await signReceipt(contentOf(RENTAL, { previous_hash: receiptHash(first) }), keys);
    expect(await problems([anew])).toBe("receipt 1 names one before it");
  });
});

describe("volley receipts verify", () => {
  async function verifyFile(content: string, keyFile = JSON.stringify(keySet())) {
    const home = await homeFolder();
    const [receipts, jwks] = [join(home, "receipts"), join(home, "jwks.json")];
    await writeFile(receipts, content);
    await writeFile(jwks, keyFile);
    return volley(fakeApi(), ["receipts", "verify", receipts, "--jwks", jwks], { home });
  }

  test("a page, a list, one receipt or a JWS on each line, without asking the API", async () => {
    const chain = await chainOf(2);
    const list = chain.map((jws) => ({ jws }));
    for (const content of [{ data: list, next_cursor: null }, list, list[0], chain]) {
      const { code, stdout } = await verifyFile(JSON.stringify(content));
      expect([code, stdout]).toEqual([
        EXIT.ok,
        expect.stringMatching(/verified[\s\S]*chain acct_1 {2}1 to .* unbroken/),
      ]);
    }
    expect(await verifyFile(chain.join("\n"))).toMatchObject({ code: EXIT.ok });
  });

  test("says what is wrong, and ends with the code for data", async () => {
    const [first = "", , third = ""] = await chainOf(3);
    const broken = await verifyFile(`${first}\n${third}`);
    expect([broken.code, broken.stdout]).toEqual([EXIT.data, expect.stringContaining("BROKEN: receipt 2 is missing")]);
    expect(await verifyFile(first, JSON.stringify({ keys: [] }))).toMatchObject({ code: EXIT.data });
    expect(await verifyFile(first, "[]")).toMatchObject({ code: EXIT.data });
    expect(await verifyFile("[]")).toMatchObject({ code: EXIT.data });
    const home = await homeFolder();
    expect(await volley(fakeApi(), ["receipts", "verify"], { home })).toMatchObject({ code: EXIT.usage });
    const missing = ["receipts", "verify", "nowhere", "--jwks", "nowhere"];
    expect(await volley(fakeApi(), missing, { home })).toMatchObject({ code: EXIT.notFound });
  });
});
