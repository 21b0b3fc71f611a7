/** What Stripe's library sends and what becomes of its answers: against Stripe's own mock server, and at its real address. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { http, passthrough } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { stripeCards } from "../../api/payments/stripe/stripe-cards.ts";
import type { CardProcessor } from "../../api/ports/card-processor.ts";
import { FakeStripe } from "./fake-stripe.ts";

const SETTINGS = { stripeSecretKey: "sk_test_fake", stripeWebhookSecrets: [], stripeApiUrl: "https://api.stripe.com" };
const ORDER = {
  paymentId: "pay_01h455vb4pex5vsknk084sn02q",
  amountMinor: 2500n,
  expiresAtMs: 1_760_003_600_000,
  returnUrl: "https://volley.example/pay/pay_01h455vb4pex5vsknk084sn02q",
};

function open(settings: Parameters<typeof stripeCards>[0]): CardProcessor {
  const cards = stripeCards(settings);
  if (cards === null) throw new Error("no key was given");
  return cards;
}

/** Where the mock server is; null where nobody has installed it. */
function findStripeMock(): string | null {
  try {
    return execFileSync("sh", ["-c", "command -v stripe-mock"], { encoding: "utf8" }).trim();
  } catch {
    return null;
  }
}

function mockServerTests(program: string): void {
  let server: ChildProcess | undefined;
  let cards: CardProcessor;
  beforeAll(async () => {
    server = spawn(program, ["-http-port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
    if (server.stdout === null) throw new Error("the mock server says nothing");
    for await (const line of createInterface(server.stdout)) {
      const port = /Listening for HTTP at address: .*:(\d+)$/.exec(line)?.[1];
      if (port === undefined) continue;
      cards = open({ ...SETTINGS, stripeSecretKey: "sk_test_123", stripeApiUrl: `http://127.0.0.1:${port}` });
      break;
    }
  });
  afterAll(async () => {
    server?.kill();
    if (server?.exitCode === null) await once(server, "exit");
  });

  test("takes every request that we make, by the specification of the version that we name", async () => {
    const opened = await cards.open(ORDER);
    expect(opened).toMatchObject({ paymentId: ORDER.paymentId, paid: false });
    expect(opened.url).toMatch(/^https:/);
    expect(await cards.read(opened.sessionId)).toMatchObject({ sessionId: opened.sessionId, refundedMinor: 0n });
    expect(await cards.expire(opened.sessionId)).toMatchObject({ paid: false });
    expect(await cards.paymentOf("pi_123")).toBeNull();
    for await (const page of cards.completed(0)) expect(page).toEqual(expect.any(Array));
  });

  test("refuses what is not in the specification, so it would have told us", async () => {
    const wrong = { ...ORDER, returnUrl: undefined as unknown as string, amountMinor: "many" as unknown as bigint };
    await expect(cards.open(wrong)).rejects.toMatchObject({ name: "CardError", kind: "refused" });
  });
}

const stripeMock = findStripeMock();
if (stripeMock === null) {
  console.warn("stripe-mock is not installed (.ci/install-stripe-mock), so its tests are left out");
} else {
  describe("Stripe's mock server", () => mockServerTests(stripeMock));
}

describe("Stripe's address", () => {
  const stripe = new FakeStripe();
  const seen: Request[] = [];
  const network = setupServer(
    http.all("https://api.stripe.com/*", ({ request }) => {
      seen.push(request.clone());
      return stripe.app.fetch(request);
    }),
    http.all("http://127.0.0.1:*/*", () => passthrough()),
  );
  beforeAll(() => network.listen({ onUnhandledFrame: "error" }));
  afterEach(() => {
    stripe.down = null;
    vi.useRealTimers();
  });
  afterAll(() => network.close());

  test("gets the key, the version that we were written against, and the payment's id as the idempotency key", async () => {
    const cards = open(SETTINGS);
    expect(await cards.open(ORDER)).toMatchObject({ status: "open", amountMinor: 2500n, currency: "usd" });
    const headers = seen.at(-1)?.headers;
    expect(headers?.get("authorization")).toBe("Bearer sk_test_fake");
    expect(headers?.get("stripe-version")).toBe("2026-08-26.dahlia");
    expect(headers?.get("idempotency-key")).toBe(`${ORDER.paymentId}:checkout`);
  });

  test.each([
    [400, "refused"],
    [401, "refused"],
    [402, "refused"],
    [404, "refused"],
    [409, "down"],
    [429, "down"],
    [500, "down"],
    [503, "down"],
  ])("that answers %i: %s", async (status, kind) => {
    stripe.down = status;
    await expect(open(SETTINGS).read("cs_test_1")).rejects.toMatchObject({ name: "CardError", kind });
  });

  test("that never answers is given up after ten seconds, twice", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    stripe.down = "hang";
    const before = seen.length;
    const asked = expect(open(SETTINGS).read("cs_test_1")).rejects.toMatchObject({ name: "CardError", kind: "down" });
    await vi.waitFor(async () => {
      await vi.advanceTimersByTimeAsync(1000);
      expect(seen.length - before).toBe(2);
    });
    await vi.advanceTimersByTimeAsync(11_000);
    await asked;
  });

  test("whose key is wrong is not asked again and again in one call", async () => {
    const before = seen.length;
    const wrong = open({ ...SETTINGS, stripeSecretKey: "sk_test_other" });
    await expect(wrong.read("cs_test_1")).rejects.toMatchObject({ kind: "refused" });
    expect(seen.length - before).toBe(1);
  });
});
