import { describe, expect, test } from "vitest";
import { PaymentClosedError, Volley } from "../../sdk/index.ts";
import { BASE_URL, cluster, fakeApi, json } from "./fake-api.ts";

const clientOf = (api: ReturnType<typeof fakeApi>) => new Volley({ baseUrl: BASE_URL, fetch: api.fetch });
const payment = (status: string) => json({ id: "pay_1", object: "payment", status });

describe("waiting for a payment", () => {
  test("tells each step and ends when it is settled", async () => {
    const api = fakeApi(payment("pending"), payment("detected"), payment("settled"));
    const steps: string[] = [];
    const settled = await clientOf(api).payments.settled("pay_1", {
      secret: "s",
      onProgress: ({ status }) => steps.push(status),
    });
    expect(settled.status).toBe("settled");
    expect(steps).toEqual(["pending", "detected", "settled"]);
    expect(api.seen.map(({ headers }) => headers.get("authorization"))).toEqual(Array(3).fill("Bearer s"));
  });

  test.each(["expired", "refunded", "something new"])("a payment that is %s will never count", async (status) => {
    const attempt = clientOf(fakeApi(payment(status))).payments.settled("pay_1");
    await expect(attempt).rejects.toThrow(PaymentClosedError);
    await expect(attempt).rejects.toMatchObject({ payment: { status } });
  });
});

test("paying from the balance asks for that rail and nothing else", async () => {
  const api = fakeApi(json(cluster()));
  await clientOf(api).clusters.reserve({ quoteToken: "t", pay: "balance" });
  expect(api.seen).toHaveLength(1);
  expect(api.seen[0]?.body).toEqual({ quote_token: "t", payment: { rail: "balance" } });
});
